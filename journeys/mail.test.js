// The mail server is away: changes succeed all the same, and each mail follows once.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";

import { CARDS, Issuer, Running, otherPin, until } from "./issuer.js";

/** A mail server that can be away, and that can lose the answer to a mail it took. */
class MailServer {
  taken = [];
  loseNextAnswer = false;
  #server = null;
  #sockets = new Set();

  listen(port) {
    this.#server = createServer((socket) => this.#serve(socket));
    return new Promise((resolve) => this.#server.listen(port, "127.0.0.1", resolve));
  }

  close() {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => (this.#server?.listening ? this.#server.close(resolve) : resolve()));
  }

  #serve(socket) {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket)).on("error", () => {});
    let mail = null;
    socket.write("220 mail.example ESMTP\r\n");
    createInterface(socket).on("line", (line) => {
      if (mail === null) {
        const command = line.slice(0, 4).toUpperCase();
        if (command === "DATA") mail = [];
        socket.write({ DATA: "354 go on\r\n", QUIT: "221 bye\r\n" }[command] ?? "250 mail.example\r\n");
      } else if (line !== ".") {
        mail.push(line);
      } else {
        this.taken.push(mail.join("\n"));
        mail = null;
        if (this.loseNextAnswer) socket.destroy();
        else socket.write("250 taken\r\n");
        this.loseNextAnswer = false;
      }
    });
  }
}

const issuer = await Issuer.open();
const letters = { ada: await issuer.letter(CARDS.adaCredit), ben: await issuer.letter(CARDS.benCredit) };
await issuer.stop();
const server = new MailServer();
let desk = await serve();
after(async () => {
  await desk.interrupt();
  await server.close();
  await issuer.close();
});

test("with the mail server away a PIN is changed, and the mail follows once it is back", async () => {
  const old = letters.ada;
  await issuer.changePin(await issuer.signedIn("ada"), CARDS.adaCredit, old, otherPin(old));
  assert.equal(issuer.status(CARDS.adaCredit).host.version, 2);
  await until("a delivery fails", () => /a notice waits/.test(desk.output));

  server.loseNextAnswer = true;
  await server.listen(issuer.ports.mail);
  await until("the mail is taken a second time", () => server.taken.length >= 2);
  const [first, second] = server.taken.map((mail) => mail.match(/^Message-ID: (\S+)/im)[1]);
  assert.equal(first, second, "the same mail under the same Message-ID: its acceptance got lost, so it came again");
  assert.match(server.taken[1], /^Subject: New PIN for your card ending in 0011/im);

  // What comes next shows that the first isn't sent once more.
  assert.equal(issuer.terminal("pos", CARDS.adaCredit, { pin: old, amount: "5.00" }).approved, true);
  assert.equal(issuer.terminal("pos", CARDS.adaCredit, { pin: otherPin(old), amount: "5.00" }).approved, true);
  await until("the next mail is taken", () => server.taken.length >= 3);
  assert.match(server.taken[2], /^Subject: The chip of your card ending in 0011 has your new PIN/im);
  assert.equal(server.taken.length, 3);
});

test("no mail is lost or doubled when the desk itself restarts in between", async () => {
  const [card, old] = [CARDS.benCredit, letters.ben];
  const before = server.taken.length;
  await server.close();
  await issuer.changePin(await issuer.signedIn("ben"), card, old, otherPin(old));
  await desk.interrupt();
  await server.listen(issuer.ports.mail);
  desk = await serve();
  await until("the mail is taken", () => server.taken.length > before);
  assert.equal(issuer.terminal("pos", card, { pin: old, amount: "5.00" }).approved, true);
  assert.equal(issuer.terminal("pos", card, { pin: otherPin(old), amount: "5.00" }).approved, true);
  await until("the next mail is taken", () => server.taken.length > before + 1);
  const subjects = server.taken.slice(before).map((mail) => mail.match(/^Subject: (.*)$/im)[1].trim());
  assert.deepEqual(subjects, ["New PIN for your card ending in 0029", "The chip of your card ending in 0029 has your new PIN"]);
});

/** The production command over the demo's data: no sandbox, no mailbox. */
async function serve() {
  const settings = join(issuer.data, "pinward.toml");
  const { web, host, mail } = issuer.ports;
  const text = (await readFile(settings, "utf8"))
    .replace(/"127\.0\.0\.1:8080"/, `"127.0.0.1:${web}"`)
    .replace(/"127\.0\.0\.1:8583"/, `"127.0.0.1:${host}"`)
    .replace(/^smtp_port = .*$/m, `smtp_port = ${mail}`);
  await writeFile(settings, text);
  const desk = new Running(["serve", "--config", settings]);
  await until("the portal answers", () => fetch(issuer.portal).then((answer) => answer.ok, () => false));
  return desk;
}
