#!/usr/bin/env node
// Makes a component of a handler: node wsrun-sdk/build.mjs src/index.js -o dist/name.wasm
//
// The modules are bundled into one, the methods of its default export are looked at, and a world is written that has the exports for these
// methods and the imports that the bundle needs: what a handler does not do the operator does not see in `wsrun inspect` either.
//
// --fast takes the build of QuickJS that is made for speed: the component is larger by half, and a callback costs a quarter less.

import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

import { componentize } from "componentize-qjs";
import { build } from "esbuild";

import { EXPORT_OF_METHOD, METHODS } from "./lib/methods.js";
import { EXPORTS } from "./lib/raw/exports.js";

const sdk = dirname(fileURLToPath(import.meta.url));
const USAGE = "usage: node build.mjs SOURCE -o FILE.wasm [--fast]";

/** The host's modules while no host is there. */
const absentHost = {
  name: "absent-host",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(wsrun|wasi):/ }, ({ path }) => ({ path, namespace: "absent-host" }));
    onLoad({ filter: /.*/, namespace: "absent-host" }, () => ({
      contents: `export default new Proxy({}, { get: (_, name) => () => {
        throw new Error("the host can be called in callbacks, not while the module is loaded");
      } });`,
    }));
  },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { output: { type: "string", short: "o" }, fast: { type: "boolean" } },
});
if (positionals.length !== 1 || values.output === undefined) fail(USAGE);

const source = resolve(positionals[0]);
const output = resolve(values.output);
// Places in the log of the host are places in this file.
const script = output.replace(/(\.wasm)?$/, ".js");
if (script === source) fail(`${values.output} would overwrite the source with the bundle: choose another folder`);
const folder = await mkdtemp(join(tmpdir(), "wsrun-build-"));
try {
  const methods = await methodsOf(source, folder);
  const wanted = new Set(["handler", ...methods.map((method) => EXPORT_OF_METHOD[method] ?? "handler")]);
  const exported = [...wanted].map((name) => EXPORTS[name]);
  const bundle = await bundled(entry(source, exported), ["wsrun:*", "wasi:*"]);
  await writeWorld(folder, exported, bundle.imports);
  await mkdir(dirname(output), { recursive: true });
  await writeFile(script, bundle.text);
  const { component } = await componentize({
    witPath: join(folder, "wit"),
    world: "component",
    jsSource: bundle.text,
    jsPath: script,
    moduleRoot: dirname(script),
    sync: true,
    optSize: !values.fast,
  });
  await writeFile(output, component);
  console.log(`${values.output}: ${component.length} bytes, with ${[...wanted].join(", ")}`);
} catch (error) {
  // esbuild has said what is wrong, and where.
  if (error?.errors === undefined) console.error(`error: ${error?.message ?? error}`);
  process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true });
}

/** The names of the methods of the default export that a handler can have. */
async function methodsOf(path, scratch) {
  const bundle = await bundled(`export { default } from ${JSON.stringify(path)};`, [], [absentHost]);
  const file = join(scratch, "methods.mjs");
  await writeFile(file, bundle.text);
  const { default: definition } = await import(pathToFileURL(file));
  const start = typeof definition === "function" ? definition.prototype : definition;
  if (typeof start !== "object" || start === null) throw new Error("the default export is a class or an object: the handler");
  const found = METHODS.filter((method) => typeof start[method] === "function");
  const waiting = found.find((method) => start[method].constructor.name === "AsyncFunction");
  if (waiting !== undefined) throw new Error(`${waiting} is async, but callbacks are not: the host would not wait for it`);
  if (found.length === 0) throw new Error(`the handler has none of the methods ${METHODS.join(", ")}`);
  return found;
}

function entry(path, exported) {
  return [
    `import ${JSON.stringify(join(sdk, "lib/globals.js"))};`,
    `import definition from ${JSON.stringify(path)};`,
    `import { exportsOf } from ${JSON.stringify(join(sdk, "lib/glue.js"))};`,
    "const all = exportsOf(definition);",
    ...exported.map(({ name }) => `export const ${name} = all.${name};`),
  ].join("\n");
}

/** The text of the bundle, and what it imports. */
async function bundled(contents, external, plugins = []) {
  const result = await build({
    stdin: { contents, resolveDir: dirname(source), loader: "js" },
    absWorkingDir: process.cwd(),
    alias: { wsrun: join(sdk, "index.js") },
    bundle: true,
    format: "esm",
    target: "es2023",
    // A page or another text beside the source is imported as a string.
    loader: { ".html": "text", ".css": "text", ".svg": "text", ".txt": "text" },
    external,
    plugins,
    metafile: true,
    write: false,
    outfile: "bundle.js",
  });
  const [{ imports }] = Object.values(result.metafile.outputs);
  return { text: result.outputFiles[0].text, imports: imports.map(({ path }) => path) };
}

async function writeWorld(scratch, exported, imported) {
  const wit = join(scratch, "wit");
  const own = join(sdk, "wit");
  await cp(existsSync(own) ? own : join(sdk, "../../wit"), join(wit, "deps/websocket"), { recursive: true });
  await cp(join(sdk, "wasi"), join(wit, "deps"), { recursive: true });
  const lines = [
    "package wsrun:project;",
    "world component {",
    ...new Set(imported.map((name) => `  import ${name};`)),
    ...exported.map(({ id }) => `  export ${id};`),
    "}",
  ];
  await writeFile(join(wit, "world.wit"), `${lines.join("\n")}\n`);
}

function fail(text) {
  console.error(text);
  process.exit(2);
}
