// Reads a JSON array of OpenAPI documents from stdin, prints what @seriousme/openapi-schema-validator finds, as an array
// of {"valid","version","errors"}. Its argument is the directory below which ./dev test has installed the package.
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const installed = createRequire(`${process.argv[2]}/package.json`);
const { Validator } = await import(pathToFileURL(installed.resolve("@seriousme/openapi-schema-validator")));
const results = [];
for (const document of JSON.parse(await text(process.stdin))) {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(document);
  if (valid) validator.resolveRefs(); // throws on a $ref that leads nowhere
  results.push({ valid, version: validator.version, errors: errors ?? [] });
}
console.log(JSON.stringify(results));
