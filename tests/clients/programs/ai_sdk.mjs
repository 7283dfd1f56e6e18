// The Vercel AI SDK with its Anthropic provider: all its tasks, printed as JSON.
// What it takes from a server it checks with Zod; whatever does not fit is an error here.
import * as ai from "ai";
import { createAnthropic } from "@ai-sdk/anthropic";
import { z } from "zod";

const server = createAnthropic({ baseURL: `${process.env.ANTHROPIC_BASE_URL}/v1`, apiKey: "x" });
const model = server(process.env.MODEL);
const common = { model, maxRetries: 0, maxOutputTokens: 2000 };
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

const question = {
  ...common,
  tools,
  prompt: "Is the heron cold?",
  providerOptions: { anthropic: { thinking: { type: "enabled", budgetTokens: 1024 } } },
  stopWhen: (ai.isStepCount ?? ai.stepCountIs)(5),
};

function summary({ text, finishReason, usage, steps, warnings }) {
  const seen = steps.map((step) => ({
    finishReason: step.finishReason,
    reasoning: step.reasoningText,
    signatures: step.reasoning.map((part) => (part.providerOptions ?? part.providerMetadata)?.anthropic?.signature),
    calls: step.toolCalls.map(({ toolName, input }) => ({ toolName, input })),
  }));
  return { text, finishReason, usage, steps: seen, warnings };
}

async function streamed(request) {
  const result = ai.streamText(request);
  const parts = [];
  for await (const part of result.stream ?? result.fullStream) {
    if (part.type === "error") throw part.error;
    parts.push(part.type);
  }
  const names = ["text", "finishReason", "usage", "steps", "warnings"];
  const values = await Promise.all(names.map((name) => result[name]));
  return { parts, ...summary(Object.fromEntries(names.map((name, at) => [name, values[at]]))) };
}

const tasks = {
  plain: async () => summary(await ai.generateText({ ...common, prompt: "Say hello.", temperature: 0.5, topK: 5 })),
  stream: () => streamed({ ...common, prompt: "Say hello." }),
  loop: async () => summary(await ai.generateText(question)),
  streamedLoop: () => streamed(question),
  object: async () => (await ai.generateObject({ ...common, schema: Place, prompt: "Fill in the tool." })).object,
  output: async () => {
    const output = ai.Output.object({ schema: Place });
    return (await ai.generateText({ ...common, output, prompt: "Fill in the tool." })).output;
  },
  outputFormat: async () => {
    const providerOptions = { anthropic: { structuredOutputMode: "outputFormat" } };
    const output = ai.Output.object({ schema: Place });
    return (await ai.generateText({ ...common, output, providerOptions, prompt: "Fill in the schema." })).output;
  },
  error: async () => {
    try {
      await ai.generateText({ ...common, model: server("no-such-model"), prompt: "x" });
    } catch (problem) {
      return { name: problem.name, status: problem.statusCode, message: problem.message };
    }
  },
};

const outcomes = {};
for (const [name, task] of Object.entries(tasks)) {
  outcomes[name] = await task().then(
    (value) => ({ value }),
    (problem) => ({ raised: String(problem.stack ?? problem) }),
  );
}
process.stdout.write(JSON.stringify(outcomes));
