// What a page loads: a client and what it imports, as a bundler makes it of the project.
import { build } from "esbuild";
import { PROJECT } from "./project.mjs";

/**
 * One minified module that exports all of the package, for browsers; with the names of the modules
 * inside, and of those that it still imports. Node's own modules are an error.
 */
export async function bundle(name) {
  const { outputFiles, metafile } = await build({
    stdin: { contents: `export * from "${name}";`, resolveDir: PROJECT },
    absWorkingDir: PROJECT,
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    metafile: true,
    write: false,
    logLevel: "silent",
  });
  return { text: outputFiles[0].text, inputs: Object.keys(metafile.inputs), imports: Object.values(metafile.outputs)[0].imports };
}
