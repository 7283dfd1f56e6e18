// Sends the request on stdin through the official TypeScript SDK, streamed, and prints what it made of it.
import { readFileSync } from "node:fs";
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.env.BASE_URL, apiKey: "x", maxRetries: 0 });
const body = JSON.parse(readFileSync(0, "utf8"));
const stream = client.messages.stream(body);
const heard = { events: [], text: "", inputJson: "" };
stream.on("streamEvent", (event) => heard.events.push(event.type));
stream.on("text", (delta) => (heard.text += delta));
stream.on("inputJson", (delta) => (heard.inputJson += delta));
const message = await stream.finalMessage();
process.stdout.write(JSON.stringify({ ...heard, message }));
