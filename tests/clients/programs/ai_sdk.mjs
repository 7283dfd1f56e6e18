// The Vercel AI SDK with its Anthropic provider: does the task named in its input, prints JSON.
// What it takes from a server it checks with Zod; whatever does not fit is an error here.
import { readFileSync } from "node:fs";
import * as ai from "ai";
import { createAnthropic } from "@ai-sdk/anthropic";
import { z } from "zod";

const server = createAnthropic({ baseURL: `${process.env.BASE_URL}/v1`, apiKey: "x" });
const model = server(process.env.MODEL);
const isStepCount = ai.isStepCount ?? ai.stepCountIs;
const thinking = { anthropic: { thinking: { type: "enabled", budgetTokens: 1024 } } };
const common = { model, maxRetries: 0, maxOutputTokens: 2000 };
const question = { ...common, prompt: "Is the heron cold?", stopWhen: isStepCount(5) };
const Place = z.object({ city: z.string(), birds: z.number().int() });

const tools = {
  locate: ai.tool({
    description: "Find an animal.",
    inputSchema: z.object({ animal: z.string() }),
    execute: () => "The heron lives in Oslo.",
  }),
  weather: ai.tool({
    description: "Tell the weather.",
    inputSchema: z.object({ city: z.string() }),
    execute: () => ({ degrees: "7 degrees in Oslo" }),
  }),
};

function told({ text, finishReason, usage, steps, warnings }) {
  const seen = steps.map((step) => ({
    finishReason: step.finishReason,
    reasoning: step.reasoningText,
    signatures: step.reasoning.map((part) => part.providerMetadata?.anthropic?.signature),
    calls: step.toolCalls.map(({ toolName, input }) => ({ toolName, input })),
  }));
  return { text, finishReason, usage, steps: seen, warnings };
}

async function parts(result) {
  const seen = [];
  for await (const part of result.stream ?? result.fullStream) {
    if (part.type === "error") throw part.error;
    seen.push(part.type);
  }
  return seen;
}

async function finished(result) {
  const names = ["text", "finishReason", "usage", "steps", "warnings"];
  const values = await Promise.all(names.map((name) => result[name]));
  return told(Object.fromEntries(names.map((name, at) => [name, values[at]])));
}

const tasks = {
  plain: async () => told(await ai.generateText({ ...common, prompt: "Say hello.", temperature: 0.5, topK: 5 })),
  stream: async () => {
    const result = ai.streamText({ ...common, prompt: "Say hello." });
    return { parts: await parts(result), ...(await finished(result)) };
  },
  loop: async () => told(await ai.generateText({ ...question, tools, providerOptions: thinking })),
  streamedLoop: async () => {
    const result = ai.streamText({ ...question, tools, providerOptions: thinking });
    return { parts: await parts(result), ...(await finished(result)) };
  },
  object: async () => (await ai.generateObject({ ...common, schema: Place, prompt: "Where is the heron?" })).object,
  output: async () => {
    const output = ai.Output.object({ schema: Place });
    const result = await ai.generateText({ ...common, output, prompt: "Where is the heron?" });
    return result.output;
  },
  outputFormat: async () => {
    const providerOptions = { anthropic: { structuredOutputMode: "outputFormat" } };
    const output = ai.Output.object({ schema: Place });
    return (await ai.generateText({ ...common, output, providerOptions, prompt: "Where is the heron?" })).output;
  },
  error: async () => {
    try {
      await ai.generateText({ ...common, model: server("no-such-model"), prompt: "x" });
    } catch (problem) {
      return { name: problem.name, status: problem.statusCode, message: problem.message };
    }
  },
};

const task = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(await tasks[task]()));
