/*
 * Checks an OpenAPI document with Redocly's recommended rules, every warning an error: node lint_openapi.mjs FILE
 * One line per problem; exit 1 when there is one. Reads the file and nothing else, no network.
 */
import { readFile } from "node:fs/promises";
import core from "@redocly/openapi-core";

const rules = {
	/* An open operation says `security: []`; the rule wants to know of each. */
	"security-defined": "error",
	"no-invalid-schema-examples": "error",
	"no-invalid-parameter-examples": "error",
	"no-duplicated-tag-names": "error",
	"operation-singular-tag": "error",
	"operation-description": "error",
	"parameter-description": "error",
	"no-required-schema-properties-undefined": "error",
	"no-schema-type-mismatch": "error",
	"array-parameter-serialization": "error",
};

const file = process.argv[2];
const config = await core.createConfig({ extends: ["recommended"], rules });
const problems = await core.lintFromString({ source: await readFile(file, "utf8"), absoluteRef: file, config });
for (const { severity, ruleId, message, location } of problems)
	console.log(`${severity} ${ruleId} ${location[0]?.pointer ?? ""}: ${message.replaceAll("\n", " ")}`);
process.exitCode = problems.length > 0 ? 1 : 0;
