#!/usr/bin/env node
// Makes a component of a handler: node wsrun-sdk/build.mjs src/index.js -o dist/name.wasm
//
// The modules are bundled into one, a component of it is asked for the methods of its default export, and a world is written that has the
// exports for these methods and the imports that the bundle needs: what a handler does not do the operator does not see in `wsrun inspect`
// either. The modules run in that component alone, in the sandbox that QuickJS is compiled for, and never in Node.
//
// --fast takes the build of QuickJS that is made for speed: the component is larger by half, and a callback costs a quarter less.
// --timeout SECONDS is how long loading the modules may take, 60 if it is not given.

import { cp, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { existsSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { EXPORT_OF_METHOD, METHODS, meant } from "./lib/methods.js";
import { EXPORTS } from "./lib/raw/exports.js";

const sdk = dirname(fileURLToPath(import.meta.url));
const USAGE = "usage: node build.mjs SOURCE -o FILE.wasm [--fast] [--timeout SECONDS]";
/** How long the modules may take to load, in seconds, and the compiler of their engine. */
const TIMEOUT = 60;
/** What the answer of a component stands between. */
const ANSWER = "\u0001wsrun\u0001";
const TIMERS = "the host keeps timers: connection.setTimer(…) or setTimer(…), and the method timer";
const NODE = "nothing of Node.js is there: a handler runs in QuickJS, in the host";

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

const { values, positionals } = argumentsOf();
if (positionals.length !== 1 || values.output === undefined) fail(USAGE);
const seconds = Number(values.timeout ?? TIMEOUT);
if (!(seconds > 0 && seconds <= 86_400)) fail("--timeout is a number of seconds, at most 86400");
// They are not there before `npm install`, which is told then instead of where Node looked.
const { componentize } = await dependency("componentize-qjs");
const { build } = await dependency("esbuild");

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
  await writeWorld(folder, [
    ...new Set(bundle.imports.map((name) => `import ${name};`)),
    ...exported.map(({ id }) => `export ${id};`),
  ]);
  await mkdir(dirname(output), { recursive: true });
  const component = await made(bundle.text, script, !values.fast);
  // In one piece: `wsrun dev` and `--watch` look at it.
  await writeFile(`${output}.new`, component);
  await rename(`${output}.new`, output);
  console.log(`${values.output}: ${component.length} bytes, with ${[...wanted].join(", ")}`);
} catch (error) {
  // esbuild has said what is wrong, and where.
  if (error?.errors === undefined) console.error(`error: ${error?.message ?? error}`);
  process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true });
}

/**
 * The names of the methods of the default export that a handler can have.
 *
 * A component is made whose modules end with an error that tells them: the builder loads the modules within it, and passes errors on.
 */
async function methodsOf(path, scratch) {
  const asking = [
    `import ${JSON.stringify(join(sdk, "lib/globals.js"))};`,
    `import definition from ${JSON.stringify(path)};`,
    `import { described } from ${JSON.stringify(join(sdk, "lib/methods.js"))};`,
    `throw new Error(${JSON.stringify(ANSWER)} + described(definition) + ${JSON.stringify(ANSWER)});`,
  ].join("\n");
  const bundle = await bundled(asking, [], [absentHost]);
  await writeWorld(scratch, []);
  const told = await made(bundle.text, join(scratch, "methods.js"), true).then(
    () => undefined,
    (error) => String(error.message),
  );
  const [, answer] = told?.split(ANSWER) ?? [];
  if (answer === undefined) throw new Error(told === undefined ? "the component did not tell its methods" : failureOf(told));
  const { wrong, found, waiting, others } = JSON.parse(answer);
  if (wrong) throw new Error("the default export is a class or an object: the handler");
  if (waiting !== undefined) throw new Error(`${waiting} is async, but callbacks are not: the host would not wait for it`);
  const misspelled = others.map((name) => [name, meant(name, found)]).filter(([, method]) => method !== undefined);
  for (const [name, method] of misspelled) {
    console.error(`warning: nobody calls the method ${name} of the handler: is ${method} meant?`);
  }
  if (found.length === 0) throw new Error(`the handler has none of the methods ${METHODS.join(", ")}`);
  return found;
}

/** The component of a bundle, for the world in the folder. Its modules are loaded here, in a sandbox and for a limited time. */
async function made(text, path, optSize) {
  await writeFile(path, text);
  // The builder works on another thread, which nothing but the end of this process stops.
  const late = setTimeout(() => {
    rmSync(folder, { recursive: true, force: true });
    console.error(
      `error: the modules were not loaded within ${seconds} s (--timeout): what stands outside of methods runs in the build, and must end`,
    );
    process.exit(1);
  }, seconds * 1000);
  try {
    const { component } = await componentize({
      witPath: join(folder, "wit"),
      world: "component",
      jsSource: text,
      jsPath: path,
      moduleRoot: dirname(path),
      sync: true,
      optSize,
    });
    return component;
  } finally {
    clearTimeout(late);
  }
}

/** What the author reads of an error that ended the modules while they were loaded. */
function failureOf(told) {
  const [first, ...places] = told.replace(/^.*?(?:JavaScript module(?: evaluation)?: )+(?:Failed to \w+ JavaScript module(?: evaluation)?: )?/, "").trimEnd().split("\n");
  const missing = /^Error: (\w+) is not defined$/.exec(first)?.[1];
  const hints = { setTimeout: TIMERS, setInterval: TIMERS, process: NODE, require: NODE, Buffer: NODE };
  const hint = Object.hasOwn(hints, missing ?? "") ? `\n${hints[missing]}` : "";
  // Places are those in the bundle that was asked, which is gone.
  const names = places.map((place) => /^ +at (?!<)(\S+)/.exec(place)?.[1]).filter(Boolean);
  return `the modules could not be loaded: ${first}${names.length > 0 ? ` (in ${names.join(", called by ")})` : ""}${hint}`;
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

async function writeWorld(scratch, items) {
  const wit = join(scratch, "wit");
  await rm(wit, { recursive: true, force: true });
  const own = join(sdk, "wit");
  await cp(existsSync(own) ? own : join(sdk, "../../wit"), join(wit, "deps/websocket"), { recursive: true });
  await cp(join(sdk, "wasi"), join(wit, "deps"), { recursive: true });
  const lines = ["package wsrun:project;", "world component {", ...items.map((item) => `  ${item}`), "}"];
  await writeFile(join(wit, "world.wit"), `${lines.join("\n")}\n`);
}

function argumentsOf() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { output: { type: "string", short: "o" }, fast: { type: "boolean" }, timeout: { type: "string" } },
    });
  } catch (error) {
    return fail(`${error.message}\n${USAGE}`);
  }
}

/** A package of the SDK. */
async function dependency(name) {
  try {
    return await import(name);
  } catch (error) {
    const why = error.code === "ERR_MODULE_NOT_FOUND" ? "is not installed" : `cannot be loaded: ${error.message}`;
    return fail(`error: the package ${name} ${why}; run npm install`);
  }
}

function fail(text) {
  console.error(text);
  process.exit(2);
}
