// The official TypeScript SDK: `stream` puts one answer together, `runner` lets it run a loop of two tools and tells
// which threads and how many messages it sent,
// `replies` asks for each body whole and streamed, `turns` sends the content back as well, `compaction` lets a
// runner compact its conversation, `parse` asks with a schema of zod's.
import { readFileSync } from "node:fs";
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { betaZodOutputFormat } from "@anthropic-ai/sdk/helpers/beta/zod";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import * as z from "zod";

const sent = [];
const client = new Anthropic({
  baseURL: process.env.ANTHROPIC_BASE_URL,
  maxRetries: 0,
  fetch: (url, init) => {
    const { thread, messages } = JSON.parse(init.body);
    sent.push([thread?.type ?? null, messages.length]);
    return fetch(url, init);
  },
});
const [task, body] = JSON.parse(readFileSync(0, "utf8"));

async function stream() {
  const events = client.messages.stream(body);
  const seen = { events: [], text: "", inputJson: "", thinking: "" };
  events.on("streamEvent", (event) => seen.events.push(event.type));
  events.on("text", (delta) => (seen.text += delta));
  events.on("thinking", (delta) => (seen.thinking += delta));
  events.on("inputJson", (delta) => (seen.inputJson += delta));
  const message = await events.finalMessage();
  return { ...seen, message };
}

function tool(name, parameter, result) {
  const properties = { [parameter]: { type: "string" } };
  const inputSchema = { type: "object", properties, required: [parameter] };
  return betaTool({ name, description: `The ${name}.`, inputSchema, run: () => result });
}

async function runner() {
  const tools = [
    tool("locate", "animal", "The heron lives in Oslo."),
    tool("weather", "city", "7 degrees in Oslo."),
  ];
  const messages = [];
  for await (const step of client.beta.messages.toolRunner({ ...body, tools })) {
    messages.push(body.stream ? await step.finalMessage() : step);
  }
  return { messages, sent };
}

const apis = { messages: client.messages, beta: client.beta.messages };

async function replies() {
  const results = [];
  for (const { api, asked, headers } of body) {
    const whole = await apis[api].create(asked, { headers });
    const streamed = await apis[api].stream(asked, { headers }).finalMessage();
    results.push({ whole, streamed });
  }
  return results;
}

// Each body whole and streamed, and the streamed content sent back in a next turn.
async function turns() {
  const results = [];
  for (const { asked, headers, next } of body) {
    const whole = await client.beta.messages.create(asked, { headers });
    const streamed = await client.beta.messages.stream(asked, { headers }).finalMessage();
    const toolResults = streamed.content
      .filter((block) => block.type === "tool_use")
      .map((block) => ({ type: "tool_result", tool_use_id: block.id, content: "Done." }));
    const { compaction, ...again } = asked;
    const following = { role: "user", content: [...toolResults, { type: "text", text: next }] };
    const messages = [...asked.messages, { role: "assistant", content: streamed.content }, following];
    const second = await client.beta.messages.create({ ...again, messages }, { headers });
    results.push({ whole, streamed, second });
  }
  return results;
}

// A runner whose conversation is compacted: by the caller before the second turn, or by the request's edit.
async function compaction() {
  const { streamed, onDemand, ...asked } = body;
  const tools = [tool("look", "place", "There is a heron.")];
  const runner = client.beta.messages.toolRunner({ ...asked, tools, stream: streamed });
  const messages = [];
  for await (const step of runner) {
    messages.push(streamed ? await step.finalMessage() : step);
    if (onDemand && messages.length === 1) runner.compactBeforeNextTurn();
  }
  return messages;
}

const Nest = z.object({ place: z.string(), eggs: z.number().int() });
const Bird = z.object({
  name: z.string(),
  kind: z.enum(["wader", "duck"]),
  nests: z.array(Nest),
  get mate() {
    return Bird.nullable().optional();
  },
});
const formats = { messages: zodOutputFormat, beta: betaZodOutputFormat };

async function parse() {
  const results = [];
  for (const { api, asked } of body) {
    const schema = { output_config: { format: formats[api](Bird) } };
    const whole = await apis[api].parse({ ...asked, ...schema });
    const streamed = await apis[api].stream({ ...asked, ...schema }).finalMessage();
    results.push({ whole, streamed });
  }
  return results;
}

const tasks = { stream, runner, replies, turns, compaction, parse };
process.stdout.write(JSON.stringify(await tasks[task]()));
