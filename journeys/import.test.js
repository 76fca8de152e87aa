// Cardmembers and cards from CSV files, by the command.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";

import { Issuer, run } from "./issuer.js";

const CARDMEMBERS = "reference,name,email,user_id";
const CARDS = "cardmember,pan,psn,expiry,programme,role,status,pin";
const MANY = 100_000;

const issuer = await Issuer.open();
after(() => issuer.close());

test("good files are brought in, and a repeat changes nothing", async () => {
  const cardmembers = await file("cardmembers.csv", CARDMEMBERS, ["T-1,Dora Lund,dora@larkfield.example,dora", "T-2,\"Eli, the younger\",eli@larkfield.example,"]);
  const cards = await file("cards.csv", CARDS, [
    `T-1,${pan(1)},1,3011,credit,basic,active,pvv:1:4021`,
    `T-2,${pan(2)},1,3011,credit,supplementary,inactive,none`,
  ]);
  const first = bringIn(cards, cardmembers);
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stdout, /cardmembers\.csv: 2 cardmembers brought in, 0 there already\./);
  assert.match(first.stdout, /cards\.csv: 2 cards brought in, 0 there already\./);

  const again = bringIn(cards, cardmembers);
  assert.equal(again.code, 0, again.stderr);
  assert.match(again.stdout, /0 cardmembers brought in, 2 there already\./);
  assert.match(again.stdout, /0 cards brought in, 2 there already\./);

  const status = run(["card", "status", "-", "--json", "--data", issuer.data], `${pan(1)}\n`);
  const { last_four, advice, host } = JSON.parse(status.stdout);
  assert.deepEqual([last_four, advice.code, host.version, host.viewable], [pan(1).slice(-4), "up_to_date", 1, false]);
  assert.match(issuer.verifyAudit(), /The audit chain holds/);
});

test("each bad column is told with its line, nothing secret is quoted, and nothing of the file is brought in", async () => {
  const good = ["LB-1001", pan(11), "1", "3011", "credit", "basic", "active", "none"];
  const bad = [
    ["cardmember", ""],
    ["cardmember", "LB-9999"],
    ["pan", `${pan(12).slice(0, -1)}${(Number(pan(12).at(-1)) + 1) % 10}`],
    ["pan", "999902000000034"],
    ["psn", "100"],
    ["expiry", "3013"],
    ["programme", "gold"],
    ["role", "owner"],
    ["status", "lost"],
    ["pin", "4021"],
    ["pin", "pvv:7:4021"],
    ["pin", "iso0:0123456789ABCDEF"],
  ];
  for (const [column, value] of bad) {
    const row = [...good];
    row[CARDS.split(",").indexOf(column)] = value;
    const cards = await file("cards.csv", CARDS, [good.join(","), row.join(",").replace(pan(11), pan(13))]);
    const { code, stderr } = bringIn(cards);
    assert.equal(code, 65, `${column} ${value}: ${stderr}`);
    assert.match(stderr, new RegExp(`cards\\.csv, line 3, ${column}: `), value);
    assert.match(stderr, /nothing of the file was brought in/);
    if (["pan", "pin"].includes(column)) assert.equal(stderr.includes(value), false, `${column} is quoted`);
    assert.equal(run(["card", "status", "-", "--data", issuer.data], `${pan(11)}\n`).code, 1, "the good line isn't there either");
  }
});

test("a hundred thousand cards come in at once", async (t) => {
  const cards = await file("cards.csv", CARDS, Array.from({ length: MANY }, (_, at) => `LB-1001,${pan(1000 + at)},1,3011,credit,basic,inactive,none`));
  const began = performance.now();
  const { code, stdout, stderr } = bringIn(cards);
  t.diagnostic(`${MANY} cards in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /100000 cards brought in, 0 there already\./);
  const last = run(["card", "status", "-", "--json", "--data", issuer.data], `${pan(1000 + MANY - 1)}\n`);
  assert.equal(JSON.parse(last.stdout).advice.code, "card_inactive");
});

async function file(name, header, lines) {
  const path = join(issuer.data, name);
  await writeFile(path, `${header}\n${lines.join("\n")}\n`);
  return path;
}

function bringIn(...files) {
  return run(["import", "--data", issuer.data, ...files]);
}

/** A 16-digit test card number: 9999, a number, and the check digit of ISO/IEC 7812-1. */
function pan(number) {
  const digits = `99995${String(number).padStart(10, "0")}`;
  const sum = Array.from(digits, Number).reduce((total, digit, at) => {
    const doubled = at % 2 === 0 ? digit * 2 : digit;
    return total + (doubled > 9 ? doubled - 9 : doubled);
  }, 0);
  return `${digits}${(10 - (sum % 10)) % 10}`;
}
