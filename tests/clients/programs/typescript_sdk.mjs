// The official TypeScript SDK: `stream` puts one answer together, `runner` lets it run a loop of two tools.
import { readFileSync } from "node:fs";
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";

const client = new Anthropic({ baseURL: process.env.ANTHROPIC_BASE_URL, apiKey: "x", maxRetries: 0 });
const [task, body] = JSON.parse(readFileSync(0, "utf8"));

async function stream() {
  const events = client.messages.stream(body);
  const heard = { events: [], text: "", inputJson: "", thinking: "" };
  events.on("streamEvent", (event) => heard.events.push(event.type));
  events.on("text", (delta) => (heard.text += delta));
  events.on("thinking", (delta) => (heard.thinking += delta));
  events.on("inputJson", (delta) => (heard.inputJson += delta));
  const message = await events.finalMessage();
  return { ...heard, message };
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
  return messages;
}

process.stdout.write(JSON.stringify(await { stream, runner }[task]()));
