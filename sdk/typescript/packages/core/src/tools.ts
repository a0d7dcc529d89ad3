/** A tool as it travels. */
interface WireTool {
  type: "function";
  function: { name: string; description: string; parameters: unknown };
}

type Definition = Record<string, unknown>;

function asDefinition(value: unknown): Definition {
  return typeof value === "object" && value !== null ? (value as Definition) : {};
}

function firstText(...values: unknown[]): string {
  const found = values.find((value) => typeof value === "string" && value.trim() !== "");
  return typeof found === "string" ? found.trim() : "";
}

function wireTool(key: string | undefined, value: unknown): WireTool | undefined {
  const tool = asDefinition(value);
  const inner = asDefinition(tool.function);
  const name = firstText(key, tool.name, inner.name);
  if (name === "") return undefined;
  const schema = asDefinition(tool.inputSchema);
  const parameters =
    inner.parameters ?? tool.parameters ?? schema.jsonSchema ?? tool.inputSchema ?? {};
  const description = firstText(inner.description, tool.description);
  return { type: "function", function: { name, description, parameters } };
}

/**
 * The tools of a call as they travel: definitions in a list, or by name. What executes them stays
 * here, and one without a name is dropped.
 *
 * @returns `undefined` when there are none to send.
 */
export function wireTools(tools: unknown): WireTool[] | undefined {
  if (typeof tools !== "object" || tools === null) return undefined;
  const named: Array<[string | undefined, unknown]> = Array.isArray(tools)
    ? tools.map((tool) => [undefined, tool])
    : Object.entries(tools);
  return named.map(([key, tool]) => wireTool(key, tool)).filter((tool) => tool !== undefined);
}
