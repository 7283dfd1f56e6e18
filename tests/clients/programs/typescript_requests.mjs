// The official TypeScript SDK sends each body to be counted, and tells the counts or the errors.
import { readFileSync } from "node:fs";
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.env.ANTHROPIC_BASE_URL, apiKey: "x", maxRetries: 0 });

async function counted(body) {
  try {
    return (await client.beta.messages.countTokens(body)).input_tokens;
  } catch (error) {
    return String(error);
  }
}

const results = [];
for (const body of JSON.parse(readFileSync(0, "utf8"))) results.push(await counted(body));
process.stdout.write(JSON.stringify(results));
