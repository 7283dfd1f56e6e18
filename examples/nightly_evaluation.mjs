// Ask a model a list of questions overnight, as a batch, and print how many answers are right.
//
//     npm install @anthropic-ai/sdk
//     node nightly_evaluation.mjs [questions.jsonl]
//
// The same as nightly_evaluation.py: a line of the file is {"id": "...", "question": "...", "answer": "..."},
// and BATCH=msgbatch_... waits for a batch that was created before.
import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({
  baseURL: process.env.ANTHROPIC_BASE_URL ?? "http://localhost:8000", // without /v1
  apiKey: process.env.ANTHROPIC_API_KEY ?? "none",
});
const model = process.env.MODEL || (await client.models.list()).data[0].id;
const questions = process.argv[2]
  ? readFileSync(process.argv[2], "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line))
  : [
      { id: "capital-1", question: "What is the capital of France?", answer: "Paris" },
      { id: "capital-2", question: "What is the capital of Peru?", answer: "Lima" },
      { id: "sum-1", question: "What is 17 + 25?", answer: "42" },
    ];

let batchId = process.env.BATCH;
if (!batchId) {
  const batch = await client.messages.batches.create({
    requests: questions.map(({ id, question }) => ({
      custom_id: id,
      params: {
        model,
        max_tokens: 300,
        temperature: 0,
        system: "Answer in one short sentence.",
        messages: [{ role: "user", content: question }],
      },
    })),
  });
  batchId = batch.id;
  console.error(`${batchId}: ${questions.length} questions`);
}

while ((await client.messages.batches.retrieve(batchId)).processing_status !== "ended") {
  await setTimeout(1000 * Number(process.env.POLL_SECONDS ?? 30));
}

const expected = new Map(questions.map(({ id, answer }) => [id, answer]));
let right = 0;
for await (const { custom_id: id, result } of await client.messages.batches.results(batchId)) {
  if (result.type === "succeeded") {
    const reply = result.message.content.map((block) => (block.type === "text" ? block.text : "")).join("");
    const isRight = reply.toLowerCase().includes(expected.get(id).toLowerCase());
    right += isRight;
    console.log(`${isRight ? "right" : `wrong (${JSON.stringify(reply.trim())})`}\t${id}`);
  } else if (result.type === "errored") {
    console.log(`error (${result.error.error.message})\t${id}`);
  } else {
    console.log(`${result.type}\t${id}`); // canceled or expired
  }
}
console.log(`${right} of ${expected.size} right`);
