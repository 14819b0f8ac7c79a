// Runs statements in chDB, which is ClickHouse as a library. It reads a script
// as JSON from its input, and prints how long each statement took and the rows
// of the last, as bench/duck does.
const { Session } = require("chdb");
const script = JSON.parse(require("fs").readFileSync(0, "utf8"));
const session = new Session(script.File);
const answer = { Version: session.query("SELECT version()", "TabSeparated").trim(), Seconds: [], Rows: [] };
for (const text of script.Statements) {
  const begin = process.hrtime.bigint();
  session.query(text, "TabSeparated");
  answer.Seconds.push(Number(process.hrtime.bigint() - begin) / 1e9);
}
const rows = session.query(script.Read, "TabSeparated").trimEnd();
answer.Rows = rows === "" ? [] : rows.split("\n").map((row) => row.split("\t"));
process.stdout.write(JSON.stringify(answer) + "\n");
session.cleanup();
