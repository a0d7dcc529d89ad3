/** Waits before the second, third and further attempts, in milliseconds. */
const DELAYS = [250, 1_000];

const BROKEN =
  /fetch failed|UND_ERR|ECONNRESET|ECONNREFUSED|ECONNABORTED|ETIMEDOUT|EAI_AGAIN|ENOTFOUND|socket hang up/;

const UNSENT = /ECONNREFUSED|EAI_AGAIN|ENOTFOUND|UND_ERR_CONNECT_TIMEOUT/;

/** The texts of an error and of its causes, three deep. */
function chain(error: unknown): string[] {
  const texts: string[] = [];
  for (let at = error; at && texts.length < 4; at = (at as { cause?: unknown }).cause) {
    const { code, message } = at as { code?: unknown; message?: unknown };
    const text = [code, message ?? String(at)].filter((part) => part !== undefined && part !== "");
    texts.push(text.join(" "));
  }
  return texts;
}

/** Whether the connection failed, so that a second attempt may succeed. */
export function isConnectionFailure(error: unknown): boolean {
  return chain(error).some((text) => BROKEN.test(text));
}

/** Whether the call certainly never reached the server: no connection to it came about. */
export function isUnsent(error: unknown): boolean {
  return chain(error).some((text) => UNSENT.test(text));
}

/** The error to throw for a call that got no answer. `where` is the method and the address. */
export function noAnswer(error: unknown, where: string, attempts: number): Error {
  const [message, ...causes] = chain(error);
  const cause = causes.length > 0 ? ` (cause=${causes.join(" -> ")})` : "";
  const times = attempts > 1 ? ` after ${attempts} attempts` : "";
  return new Error(`${message}${cause}: ${where}${times}`, { cause: error });
}

/** How long to wait after the failure number `failures`, in milliseconds. */
export function delayAfter(failures: number): number {
  return DELAYS[Math.min(failures, DELAYS.length) - 1] ?? 0;
}
