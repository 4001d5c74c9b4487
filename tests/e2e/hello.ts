// The README's example in TypeScript, with the types that openapi-typescript generated.
import createClient from "openapi-fetch";
import type { paths } from "./schema";

declare const process: { argv: string[] };
const [url, token] = process.argv.slice(2);
const client = createClient<paths>({
  baseUrl: url,
  headers: { Authorization: `Bearer ${token}` },
});

const task = await client.POST("/api/v1/tasks", {
  body: { name: "typescript haiku", prompt_template: "Write a haiku about {{ topic }}." },
});
if (!task.data) throw new Error(JSON.stringify(task.error));

const execution = await client.POST("/api/v1/tasks/{task_id}/execute", {
  params: { path: { task_id: task.data.id }, query: { wait: 30 } },
  body: { variables: { topic: "patience" } },
});
if (!execution.data) throw new Error(JSON.stringify(execution.error));
console.log(execution.data.status, execution.data.rendered_prompt);
