// Runs a program of this package as if it were called itself: its streams, its signals, its exit code.
"use strict";

const { spawn } = require("node:child_process");
const path = require("node:path");

module.exports = function run(name) {
  const program = path.join(__dirname, "..", "vendor", name);
  const child = spawn(program, process.argv.slice(2), { stdio: "inherit" });
  // A terminal sends these to the whole group; the child decides what becomes of them.
  for (const signal of ["SIGINT", "SIGQUIT"]) process.on(signal, () => {});
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    console.error(`${name}: running ${program}: ${error.message}; is the package for this machine? npm install -g latimer installs it again`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
};
