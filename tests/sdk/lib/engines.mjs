// One suite on every engine, with a Federation of its own.
import { after, before, describe } from "node:test";
import { ENGINES } from "../../npm-clients/lib/databases.mjs";
import { ADMIN_KEY, startFederation } from "../../npm-clients/lib/federation.mjs";

export { ADMIN_KEY };

/** Long enough for a loaded machine; a hanging call fails here instead of hanging the run. */
const TEST_MS = 120_000;

/** Declares the suite once per engine; inside tests `fixture.fed` is the running Federation. */
export function onEveryEngine(name, tests, { config = "", engines = ENGINES } = {}) {
  for (const engine of engines) {
    describe(`${name}, on ${engine}`, { timeout: 3 * TEST_MS }, () => {
      const fixture = {};
      before(
        async () => {
          fixture.fed = await startFederation({ engine, config });
        },
        { timeout: TEST_MS },
      );
      after(() => fixture.fed?.stop(), { timeout: TEST_MS });
      tests(fixture);
    });
  }
}
