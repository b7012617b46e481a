// Bundles the editor into ../static: one module, one style sheet, and the notices of everything in them.
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { build } from "esbuild";

const here = import.meta.dirname;
const out = path.join(here, "..", "static");

const made = await build({
  absWorkingDir: here,
  entryPoints: { builder: "src/index.tsx" },
  outdir: out,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  legalComments: "none", // LEGAL.txt has them whole
  define: { "process.env.NODE_ENV": '"production"' },
  metafile: true,
  logLevel: "warning",
});

const packages = new Set();
for (const input of Object.keys(made.metafile.inputs)) {
  const found = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
  if (found) packages.add(found[1]);
}
const notices = [];
for (const folder of [...packages].sort()) {
  const about = JSON.parse(await readFile(path.join(here, folder, "package.json"), "utf8"));
  const names = (await readdir(path.join(here, folder))).filter((name) => /^(licen[cs]e|notice|copying)/i.test(name));
  const texts = await Promise.all(names.sort().map((name) => readFile(path.join(here, folder, name), "utf8")));
  const author = typeof about.author === "string" ? about.author : about.author?.name;
  const own = texts.length ? texts.map((text) => text.trim()).join("\n\n") : `Licence: ${about.license}${author ? `. Author: ${author}` : ""}`;
  notices.push(`${about.name} ${about.version} (${about.license})\n\n${own}`);
}
const rule = `\n\n${"-".repeat(80)}\n\n`;
await mkdir(out, { recursive: true });
await writeFile(path.join(out, "LEGAL.txt"), `builder.js and builder.css contain parts of these packages.${rule}${notices.join(rule)}\n`);
