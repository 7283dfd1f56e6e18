// Ask a model on your own vLLM server from JavaScript or TypeScript and stream the reply.
//
//     npm install @anthropic-ai/sdk
//     node quickstart.mjs "What is the capital of France?"
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({
  baseURL: process.env.ANTHROPIC_BASE_URL ?? "http://localhost:8000", // without /v1
  apiKey: process.env.ANTHROPIC_API_KEY ?? "none", // any text, unless vLLM has --api-key
});
// The name after `vllm serve`; without MODEL, the first model in the server's list.
const model = process.env.MODEL || (await client.models.list()).data[0].id;
const question = process.argv.slice(2).join(" ") || "What is the capital of France?";

const stream = client.messages
  .stream({ model, max_tokens: 200, messages: [{ role: "user", content: question }] })
  .on("text", (text) => process.stdout.write(text));

const { usage, stop_reason } = await stream.finalMessage();
console.log(`\n[${model}: ${usage.input_tokens} tokens in, ${usage.output_tokens} out, ${stop_reason}]`);
