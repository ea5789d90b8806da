// usage: node size.mjs FOLDER BUDGET
// Adds up what a first visit to the built console downloads (wasm, script, style),
// brotli-compressed, and fails above BUDGET bytes. The rule engine is a module of its own that
// only the rule editor loads; it is shown, not counted.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";

const [folder, budget] = process.argv.slice(2);
const wanted = readdirSync(folder, { recursive: true })
  .map(String)
  .filter((name) => /\.(wasm|js|css)$/.test(name))
  .sort();
if (!wanted.some((name) => name.endsWith(".wasm"))) {
  console.error(`${folder}: no wasm file, so this is no console`);
  process.exit(1);
}
let total = 0;
for (const name of wanted) {
  const bytes = readFileSync(join(folder, name));
  const packed = brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
  }).length;
  const later = name.startsWith("explainer");
  total += later ? 0 : packed;
  const when = later ? ", loaded later" : "";
  console.log(`${String(packed).padStart(9)} of ${String(bytes.length).padStart(9)}  ${name}${when}`);
}
console.log(`${String(total).padStart(9)} bytes at the first visit, budget ${budget}`);
process.exit(total <= Number(budget) ? 0 : 1);
