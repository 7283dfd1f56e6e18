// Give the model two JavaScript functions, and let the SDK run the loop: call, result, next call, reply.
//
//     npm install @anthropic-ai/sdk
//     node tools.mjs "Is it warm where the Eiffel Tower stands?"
//
// The same as tools.py. `vllm serve` needs no flags for it.
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";

const client = new Anthropic({
  baseURL: process.env.ANTHROPIC_BASE_URL ?? "http://localhost:8000", // without /v1
  apiKey: process.env.ANTHROPIC_API_KEY ?? "none",
});
const model = process.env.MODEL || (await client.models.list()).data[0].id;
const question = process.argv.slice(2).join(" ") || "Is it warm where the Eiffel Tower stands?";

const findPlace = betaTool({
  name: "find_place",
  description: "Find the city that a building stands in.",
  inputSchema: {
    type: "object",
    properties: { name: { type: "string", description: "The building." } },
    required: ["name"],
  },
  run: ({ name }) => ({ "Eiffel Tower": "Paris", "Big Ben": "London" })[name] ?? "unknown",
});

const getWeather = betaTool({
  name: "get_weather",
  description: "Return the weather in a city.",
  inputSchema: {
    type: "object",
    properties: { city: { type: "string", description: "The city's name." } },
    required: ["city"],
  },
  run: ({ city }) => `It is 21 degrees in ${city}.`,
});

const runner = client.beta.messages.toolRunner({
  model,
  max_tokens: 1000,
  tools: [findPlace, getWeather],
  messages: [{ role: "user", content: question }],
});
for await (const message of runner) {
  // one message a turn; the tools it asks for are run in between
  for (const block of message.content) {
    if (block.type === "tool_use") console.log(`-> ${block.name}(${JSON.stringify(block.input)})`);
    else if (block.type === "text") console.log(block.text);
  }
}
