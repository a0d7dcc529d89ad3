/** What a failed call says; see {@link DowncityError}. */
export interface DowncityErrorInit {
  status: number;
  body: string;
  method: string;
  url: string;
}

/**
 * A call that the server refused: every answer whose status is not 2xx.
 *
 * Branch on `code`, which is stable; `serverMessage` is a sentence for people and may change.
 */
export class DowncityError extends Error {
  /** The HTTP status, such as 401, 403, 404. */
  readonly status: number;
  /** The body of the answer, unchanged. */
  readonly body: string;
  /** The stable name of the failure, such as `city_paused`, where the body has one. */
  readonly code: string | undefined;
  /** The sentence of the server, where the body has one. */
  readonly serverMessage: string | undefined;
  /** The method of the call. */
  readonly method: string;
  /** The whole address of the call. */
  readonly url: string;

  constructor(init: DowncityErrorInit) {
    super(`${init.method} ${withoutQuery(init.url)} answered ${init.status}: ${init.body}`);
    this.name = "DowncityError";
    this.status = init.status;
    this.body = init.body;
    this.method = init.method;
    this.url = init.url;
    const said = parseErrorBody(init.body);
    this.code = said.code;
    this.serverMessage = said.message;
  }
}

/** Reads `{"error": "..", "code"}` and OpenAI's `{"error": {"message", "code"}}`. */
function parseErrorBody(body: string): { message?: string; code?: string } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return {};
  }
  const outer = fields(parsed);
  const inner = fields(outer.error);
  const message = [outer.error, inner.message].find((text) => typeof text === "string");
  const code = [outer.code, inner.code].find((text) => typeof text === "string");
  return { ...(message !== undefined && { message }), ...(code !== undefined && { code }) };
}

function fields(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

/** An address as it may stand in messages: queries can hold secrets. */
export function withoutQuery(url: string): string {
  return url.replace(/[?#].*$/s, "");
}

/**
 * The text without the space around it.
 *
 * @throws TypeError when it is no text, or blank.
 */
export function requireText(name: string, value: unknown): string {
  if (typeof value !== "string" || value.trim() === "") {
    throw new TypeError(`${name} must be a non-empty string`);
  }
  return value.trim();
}

/** The text without the space around it, where there is one to be: absent is absent, blank is refused. */
export function optionalText(name: string, value: unknown): string | undefined {
  return value === undefined ? undefined : requireText(name, value);
}
