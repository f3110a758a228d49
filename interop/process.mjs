// Servers of other processes: started on a port of their own, and ended with this one.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";

const binary = (name) => fileURLToPath(new URL(`../bin/${name}`, import.meta.url));

export const concierge = binary("concierge");
/** The other end of Crossmint's API: see crossmint/main.go. */
export const crossmint = binary("crossmint");

const startLimit = 60_000; // ms; on a busy machine
const stopLimit = 20_000;
const callLimit = 60_000;
const logLines = 40;

const running = new Set();
const logged = [];
const folders = [];

// Settings of whoever runs this must not reach the servers.
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith("CONCIERGE_")),
);

/** A new empty folder, gone when this process ends. */
export function folder() {
  folders.push(mkdtempSync(join(tmpdir(), "concierge-interop-")));
  return folders.at(-1);
}

environment.CONCIERGE_KEEP_PROGRAMS = "0"; // no copy of the program in each data directory
environment.CONCIERGE_HOME = folder(); // else the wallet and the purse of whoever runs this

/**
 * Starts a server that says "Listening on …" and returns {url, log(), stop()}.
 * It has a process group of its own, so that nothing it starts outlives it.
 */
export async function start(command, args, env = {}) {
  const child = spawn(command, args, {
    env: { ...environment, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (log += text));
  const ended = new Promise((resolve) => {
    child.on("exit", (code, signal) => resolve(signal ?? code));
    child.on("error", (error) => resolve(error.message));
  }).then((how) => {
    running.delete(server);
    return how;
  });
  const server = {
    name: [command.split("/").at(-1), args[0]].join(" "),
    log: () => log,
    kill: (signal) => {
      try {
        process.kill(-child.pid, signal);
      } catch {
        // it has ended
      }
    },
    stop: async () => {
      server.kill("SIGTERM");
      if ((await Promise.race([ended, sleep(stopLimit, "late", { ref: false })])) === "late") {
        server.kill("SIGKILL");
        await ended;
        throw new Error(`${server.name} did not end within ${stopLimit / 1000} s`);
      }
    },
  };
  logged.push(server);
  if (child.pid) running.add(server);
  for (const deadline = Date.now() + startLimit; ; ) {
    const at = /Listening on (?:http:\/\/)?(127\.0\.0\.1:\d+)/.exec(log);
    if (at) {
      server.url = `http://${at[1]}`;
      return server;
    }
    const how = await Promise.race([ended, sleep(50, "running")]);
    if (how !== "running") throw new Error(`${server.name} ended (${how}):\n${log}`);
    if (Date.now() > deadline) throw new Error(`${server.name} does not listen:\n${log}`);
  }
}

/** Serves an Express app of this process; returns {url, stop()}. */
export async function listen(app) {
  const listener = app.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const server = {
    url: `http://127.0.0.1:${listener.address().port}`,
    kill: () => {}, // it ends with this process
    stop: async () => {
      running.delete(server);
      listener.close();
      listener.closeAllConnections();
    },
  };
  running.add(server);
  return server;
}

/** Runs a command to its end, wants it to end with that code, and returns what it printed. */
export function run(command, args, env = {}, wanted = 0) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { ...environment, ...env },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: callLimit,
    });
    let out = "";
    let err = "";
    child.stdout.on("data", (text) => (out += text));
    child.stderr.on("data", (text) => (err += text));
    child.on("error", reject);
    child.on("close", (code, signal) =>
      code === wanted
        ? resolve(out)
        : reject(new Error(`${args.slice(0, 2).join(" ")} ended with ${signal ?? code}: ${err}${out}`)),
    );
  });
}

/** Ends what is still running, the last one first. */
export async function stopAll() {
  for (const server of [...running].reverse()) await server.stop();
}

/** The last words of each server, to see why something failed. */
export const logs = () =>
  logged.map(({ name, log }) => `${name}:\n${log().split("\n").slice(-logLines).join("\n")}`).join("\n");

process.on("exit", () => {
  for (const server of running) server.kill("SIGKILL");
  for (const path of folders) rmSync(path, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));
