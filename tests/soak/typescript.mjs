// Streams replies with the official TypeScript SDK until the time is over; prints the counts as JSON.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ apiKey: "x", maxRetries: 0 });
const until = Date.now() + Number(process.env.SECONDS) * 1000;
const counts = { done: 0, violations: {} };

while (Date.now() < until) {
  const script = `reply ${counts.done} ` + "word ".repeat(counts.done % 50) + "end";
  try {
    const stream = client.messages.stream({
      model: process.env.MODEL,
      max_tokens: 4000,
      messages: [{ role: "user", content: "Hi" }],
      vllm_xargs: { script },
    });
    if (counts.done % 5 === 4) {
      // Leaving the loop cancels the request.
      for await (const event of stream) if (event.type === "content_block_delta") break;
    } else {
      const message = await stream.finalMessage();
      if (message.content[0].text !== script) throw new Error(`text: ${message.content[0].text}`);
    }
    counts.done += 1;
  } catch (error) {
    const name = String(error).slice(0, 200);
    counts.violations[name] = (counts.violations[name] ?? 0) + 1;
  }
}
console.log(JSON.stringify(counts));
