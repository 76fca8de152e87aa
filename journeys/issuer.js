// The demo issuer, driven as everybody can drive it: by its command line, its pages, its mail folder.
//
// Nothing here reaches into the program. Waits are bounded and end as soon as what they wait for is there.

import { spawn, spawnSync } from "node:child_process";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setInterval } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { chromium, selectors } from "playwright-core";

export const PROGRAM = process.env.PINWARD ?? fileURLToPath(new URL("../target/debug/pinward", import.meta.url));

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const CHROMIUM_ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Nothing in a journey takes longer than this. */
const PATIENCE_MS = 15_000;

/** Below the ports that outgoing connections get, so that nobody takes one between our look and the demo's. */
const PORTS = { first: 20_000, count: 10_000 };

/** The demo's cards, by their last four digits. */
export const CARDS = { adaCredit: "0011", adaCharge: "0018", benCredit: "0029", cleoCharge: "0026", cleoCredit: "0037" };

selectors.setTestIdAttribute("data-test");

/** A running demo over a directory of its own. */
export class Issuer {
  #folder = "";
  #process = null;
  #browser = null;
  #cards;

  /** Starts a demo on free ports, with data that is made for it. */
  static async open() {
    const issuer = new Issuer();
    issuer.#folder = await mkdtemp(join(tmpdir(), "pinward-journey-"));
    issuer.data = join(issuer.#folder, "data");
    issuer.ports = await freePorts();
    await issuer.start();
    issuer.#browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGUMENTS });
    return issuer;
  }

  get portal() {
    return `http://127.0.0.1:${this.ports.web}`;
  }

  get sandbox() {
    return `http://127.0.0.1:${this.ports.sandbox}`;
  }

  /** The reference of the card with these last four digits. */
  card(lastFour) {
    return this.#cards.get(lastFour);
  }

  /** Starts the program over the same data and ports, and waits until both web sites answer. */
  async start(flags = []) {
    this.#process = new Running(["demo", "--data", this.data, ...flags, ...this.portFlags()]);
    await this.#process.says("Ctrl-C stops everything");
    await until("the sandbox answers", () => fetch(`${this.sandbox}/api/state`).then((answer) => answer.ok, () => false));
    this.#cards = new Map((await this.sandboxState()).cards.map(({ card, last_four }) => [last_four, card]));
  }

  portFlags() {
    return Object.entries(this.ports).map(([name, port]) => `--${name}=127.0.0.1:${port}`);
  }

  /** Ctrl-C. Gives the exit code. */
  stop() {
    return this.#process.interrupt();
  }

  /** What the running program printed so far. */
  get output() {
    return this.#process.output;
  }

  /** Ends it. Fails where its logs hold the whole number of a card. */
  async close() {
    await this.#browser?.close();
    await this.#process.interrupt();
    const folder = join(this.data, "log");
    const names = await readdir(folder);
    const logs = await Promise.all(names.map((name) => readFile(join(folder, name), "utf8")));
    await rm(this.#folder, { recursive: true });
    const leak = [this.#process.output, ...logs].join("\n").match(/^.*\b9999\d{9,15}\b.*$/m);
    if (leak) throw new Error(`a log holds a card's number: ${leak[0]}`);
  }

  /** Runs a command of the program to its end. `input` is its standard input. */
  run(args, input = "") {
    return run(args, input);
  }

  /** `pinward card status --json`. */
  status(lastFour) {
    return JSON.parse(this.#done(["card", "status", "--json", "--data", this.data, this.card(lastFour)]));
  }

  /** `pinward audit verify`; fails where the chain doesn't hold. */
  verifyAudit() {
    return this.#done(["audit", "verify", "--data", this.data]);
  }

  /** `pinward sim MODE --json`, as a terminal that isn't a web page. */
  terminal(mode, lastFour, { pin = [], amount } = {}) {
    const files = ["--card", join(this.data, "wallet", `${this.card(lastFour)}.perso.json`), "--acquirer", join(this.data, "acquirer.json")];
    const keyed = [pin].flat().flatMap((digits) => ["--pin", digits]);
    const { stdout, stderr } = run(["sim", mode, ...files, ...keyed, ...(amount ? ["--amount", amount] : []), "--json"]);
    if (stdout === "") throw new Error(`sim ${mode}: ${stderr}`);
    return JSON.parse(stdout).outcome;
  }

  #done(args) {
    const { code, stdout, stderr } = run(args);
    if (code !== 0) throw new Error(`pinward ${args.join(" ")} ended with ${code}: ${stderr}`);
    return stdout;
  }

  async sandboxState() {
    return (await fetch(`${this.sandbox}/api/state`)).json();
  }

  /** The PIN that the card was delivered with. */
  async letter(lastFour) {
    const answer = await fetch(`${this.sandbox}/api/letters/${this.card(lastFour)}`, { method: "POST" });
    return (await answer.json()).pin;
  }

  /** A card of a folder forgets all that happened to it, as if its plastic were exchanged for a new copy of it. */
  forgetPlastic(folder, card) {
    return rm(join(this.data, folder, `${card}.state.json`));
  }

  /** The mails in the mail folder, oldest first. */
  async mails() {
    const folder = join(this.data, "mail");
    const names = (await readdir(folder)).filter((name) => name.endsWith(".eml")).sort();
    return Promise.all(names.map(async (name) => readMail(await readFile(join(folder, name), "utf8"))));
  }

  /** Waits until there are this many mails, and gives them. */
  async mailsOnce(count) {
    await until(`${count} mails arrive`, async () => (await this.mails()).length >= count);
    return this.mails();
  }

  /** A page of a browser of its own: no cookie of another one. */
  async page({ width = 1280, height = 900, colorScheme = "light" } = {}) {
    const context = await this.#browser.newContext({ viewport: { width, height }, colorScheme, reducedMotion: "reduce" });
    context.setDefaultTimeout(PATIENCE_MS);
    return context.newPage();
  }

  /** A page in which a demo cardmember is signed in, at their card list. */
  async signedIn(userId, look) {
    const page = await this.page(look);
    await page.goto(this.portal);
    await signIn(page, userId);
    return page;
  }

  /** Opens a page about a card's PIN: `` for Manage Card PIN, or `create`, `change`, `view`, `unlock`. */
  async openPin(page, lastFour, operation = "") {
    await page.goto(`${this.portal}/cards/${this.card(lastFour)}/pin${operation && `/${operation}`}`);
  }

  /** Changes a PIN on the portal, and waits until the portal says so. */
  async changePin(page, lastFour, current, chosen) {
    await this.openPin(page, lastFour, "change");
    await typePin(page, "current-pin", current);
    await typePin(page, "new-pin", chosen);
    await typePin(page, "repeat-pin", chosen);
    await page.getByTestId("pin-submit").click();
    await page.getByTestId("done").waitFor();
  }

  /** The sandbox with a card in the hand. */
  async wallet(page, lastFour) {
    await page.goto(this.sandbox);
    const card = page.locator(`#card-${this.card(lastFour)}`);
    await card.check({ force: true });
    return page;
  }
}

/** A process of the program, and what it said. */
export class Running {
  output = "";

  constructor(args) {
    this.process = spawn(PROGRAM, args, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.output += text));
    }
    this.ended = new Promise((resolve, reject) => this.process.once("error", reject).once("close", resolve));
    const kill = () => this.process.kill("SIGKILL");
    process.once("exit", kill);
    this.ended.finally(() => process.off("exit", kill)).catch(() => {});
  }

  says(words) {
    return until(`the program says "${words}"`, () => {
      if (this.process.exitCode !== null) throw new Error(`the program ended: ${this.output}`);
      return this.output.includes(words);
    });
  }

  /** Ctrl-C. Gives the exit code. */
  async interrupt() {
    if (this.process.exitCode === null) this.process.kill("SIGINT");
    await until("the program ends", () => this.process.exitCode !== null || this.process.signalCode !== null);
    return this.ended;
  }
}

/** Runs the program to its end. */
export function run(args, input = "") {
  const done = spawnSync(PROGRAM, args, { input, encoding: "utf8", timeout: 120_000, maxBuffer: 64 << 20 });
  if (done.error) throw done.error;
  return { code: done.status, stdout: done.stdout, stderr: done.stderr };
}

/** Asks again and again, for a bounded time. */
export async function until(what, isSo) {
  const end = Date.now() + PATIENCE_MS;
  if (await isSo()) return;
  for await (const _ of setInterval(50)) {
    if (await isSo()) return;
    if (Date.now() > end) throw new Error(`waited in vain until ${what}`);
  }
}

/** Four ports that nobody listens on. */
export async function freePorts() {
  const ports = {};
  for (const name of ["web", "host", "sandbox", "mail"]) {
    do {
      ports[name] = PORTS.first + Math.floor(Math.random() * PORTS.count);
    } while (Object.values(ports).filter((port) => port === ports[name]).length > 1 || !(await isFree(ports[name])));
  }
  return ports;
}

export function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** A PIN that differs from this one in every digit. */
export function otherPin(pin) {
  return Array.from(pin, (digit) => (Number(digit) + 3) % 10).join("");
}

export async function signIn(page, userId, password = `larkfield-${userId}`) {
  await page.getByTestId("user-id").fill(userId);
  await page.getByTestId("password").fill(password);
  await page.getByTestId("sign-in").click();
  if (password === `larkfield-${userId}`) await page.getByTestId("sign-out").waitFor();
}

/** Confirms with the password what a page asks for. */
export async function stepUp(page, userId) {
  await page.getByTestId("password").fill(`larkfield-${userId}`);
  await page.getByTestId("step-up").click();
}

/** Types a PIN digit by digit, as people do. */
export async function typePin(page, field, digits) {
  await page.getByTestId(field).focus();
  await page.getByTestId(field).pressSequentially(digits);
}

/** Inserts the card in the sandbox's shop and keys a PIN. Gives how it ended. */
export async function insertInShop(page, pin) {
  await page.getByTestId("tab-shop").click();
  await page.getByTestId("shop-insert").click();
  await keyPin(page, "shop", pin);
  return outcome(page, "shop/insert", () => page.getByTestId("shop-keypad").locator('[data-key="ok"]').click());
}

/** Taps the card on the sandbox's terminal. */
export async function tapInShop(page) {
  await page.getByTestId("tab-shop").click();
  return outcome(page, "shop/tap", () => page.getByTestId("shop-tap").click());
}

/** Asks the sandbox's cash machine for something: `balance`, `cash-20`, … */
export async function useCashMachine(page, pin, choice = "balance") {
  await page.getByTestId("tab-atm").click();
  await page.getByTestId("atm-insert").click();
  await keyPin(page, "atm", pin);
  await page.getByTestId("atm-keypad").locator('[data-key="ok"]').click();
  return outcome(page, "atm", () => page.getByTestId(`atm-${choice}`).click());
}

async function keyPin(page, device, pin) {
  for (const digit of pin) await page.getByTestId(`${device}-keypad`).locator(`[data-key="${digit}"]`).click();
}

/** What the terminal's page was answered, once the page shows it: the words on the newest receipt included. */
async function outcome(page, address, act) {
  const answered = page.waitForResponse((answer) => answer.url().endsWith(`/api/${address}`));
  await act();
  const { outcome } = await (await answered).json();
  const verdict = page.getByTestId("verdict").first();
  await page.getByTestId("receipt").first().filter({ hasText: outcome.receipt.at(-1) ?? "" }).waitFor();
  await page.locator("#shop-insert:enabled, #atm-insert:enabled").first().waitFor({ state: "attached" });
  return { ...outcome, verdict: await verdict.textContent() };
}

/** A headline of "which PIN works where", on the portal or in the sandbox. */
export function headline(page, words) {
  return page.getByTestId("advice-headline").filter({ hasText: words }).waitFor();
}

function readMail(source) {
  const head = source.slice(0, source.search(/\r?\n\r?\n/)).replace(/\r?\n[ \t]+/g, " ");
  const field = (name) => head.match(new RegExp(`^${name}: *(.*)$`, "im"))?.[1]?.trim() ?? "";
  return { to: field("To"), subject: field("Subject"), id: field("Message-ID"), source };
}
