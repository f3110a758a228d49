// The official conformance suite of MCP against our Hosts and our Guest.

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { folder, run } from "./process.mjs";
import { revisions, scenarios } from "./scenarios.mjs";

const suite = fileURLToPath(new URL("node_modules/@modelcontextprotocol/conformance/dist/index.js", import.meta.url));
// The suite starts the client by a shell, which is to find this Node.
const env = { PATH: `${dirname(process.execPath)}:${process.env.PATH}` };

/** The scenarios that the suite has: [{side: "server" | "client" | …, name, applies: [revision, …]}]. */
async function listed() {
  const found = [];
  let side;
  for (const line of (await run(process.execPath, [suite, "list"])).split("\n")) {
    const [, word] = /^(\w+).* scenarios/.exec(line) ?? [];
    if (word) side = word.toLowerCase();
    const [, name, applies] = /^ {2}- (\S+) \[(.*)\]$/.exec(line) ?? [];
    if (name) found.push({ side, name, applies: applies.split(",") });
  }
  return found;
}

/** Wants each scenario of the suite to be in one list, and each in a list to be one of the suite. */
export async function accounted() {
  const all = await listed();
  for (const [side, { run: must, leave }] of Object.entries(scenarios)) {
    const left = Object.values(leave).flat();
    const names = [...must, ...left.filter((name) => !name.includes(" "))].toSorted();
    const has = all.filter((s) => s.side === side).map(({ name }) => name);
    assert.deepEqual(names, has.toSorted(), `${side}: the lists of scenarios.mjs, and the suite's`);
  }
  assert.deepEqual([...new Set(all.map(({ side }) => side))].toSorted(), Object.keys(scenarios).toSorted());
  const leftOut = all.length - Object.values(scenarios).flatMap(({ run: must }) => must).length;
  return `all ${all.length} scenarios of the suite are accounted for; ${leftOut} don't apply, see scenarios.mjs`;
}

/** What is to pass: [{side, name, revision}]. */
export async function applicable() {
  const all = await listed();
  return all.flatMap(({ side, name, applies }) => {
    const { run: must, leave } = scenarios[side];
    const left = Object.values(leave).flat();
    return revisions
      .filter((revision) => must.includes(name) && applies.includes(revision) && !left.includes(`${name} ${revision}`))
      .map((revision) => ({ side, name, revision }));
  });
}

const ours = {
  server: (url) => ["--url", url],
  client: () => ["--command", "node conformance-client.mjs"],
};

/** Has a scenario tried, on the Host at url or on our Guest, and wants its checks to pass. */
export async function conforms({ side, name, revision }, url) {
  const out = folder();
  const args = [suite, side, ...ours[side](url), "--scenario", name, "--spec-version", revision, "-o", out];
  const said = await run(process.execPath, args, env).catch(({ message }) => message); // it fails with checks that are left out, too
  const [file] = globSync(`${out}/*/checks.json`);
  assert.ok(file, said);
  const checks = JSON.parse(readFileSync(file, "utf8"));
  const left = Object.values(scenarios[side].without[name] ?? {}).flat();
  const failed = checks.filter(({ status }) => status === "FAILURE");
  const passed = checks.filter(({ status }) => status === "SUCCESS");
  assert.deepEqual(failed.filter(({ id }) => !left.includes(id)), []);
  assert.deepEqual(left.filter((id) => !failed.some((check) => check.id === id)), [], "left out, and yet they don't fail");
  assert.ok(passed.length > 0, `nothing was checked: ${said}`);
  const warned = checks.filter(({ status }) => status === "WARNING").map(({ id }) => `, warns of ${id}`);
  return `${passed.length} checks passed${warned.join("")}${left.length ? `, ${left.length} don't apply` : ""}`;
}
