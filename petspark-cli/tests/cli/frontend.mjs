// Plays a browser for the session that docs/AUTH.md shows, against a real server:
// node frontend.mjs MODULE BASE EMAIL, with {"accessToken": an expired one, "refreshToken"} as input.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const [, , module, base, email] = process.argv;
const given = JSON.parse(readFileSync(0, "utf8"));

let cookie = given.refreshToken;
let refreshes = 0;
let interfere = null;
const overTheWire = globalThis.fetch;

// What a browser adds to a request, and takes from an answer.
async function browse(url, init) {
  const headers = new Headers(init.headers);
  headers.set("Sec-Fetch-Site", "same-origin");
  if (cookie) headers.set("Cookie", `petspark_rt=${cookie}`);
  const answer = await overTheWire(url, { ...init, headers });
  const [set] = answer.headers.getSetCookie();
  if (set) cookie = set.match(/^petspark_rt=([^;]*)/)[1];
  return answer;
}

globalThis.fetch = async (url, init) => {
  if (!url.endsWith("/auth/refresh")) return browse(url, init);
  refreshes += 1;
  const once = interfere ?? browse;
  interfere = null;
  return once(url, init);
};

// Tabs that hear each other at once, so that nothing here depends on luck.
const channels = [];
globalThis.BroadcastChannel = class {
  constructor() {
    channels.push(this);
  }
  postMessage(data) {
    channels.filter((other) => other !== this).forEach((other) => other.onmessage({ data }));
  }
};

function locks(value) {
  Object.defineProperty(globalThis, "navigator", { value: { locks: value }, configurable: true });
}

const { session } = await import(module);
const signedOut = [];
const open = (name) => session(base, (code) => signedOut.push([name, code]));
const app = open("app");
const tab = open("tab");

async function refreshesOf(work) {
  const before = refreshes;
  await work();
  return refreshes - before;
}

async function all(calls, status) {
  for (const answer of await Promise.all(calls)) assert.equal(answer.status, status, await answer.text());
}

const profile = (which = app) => which.call("/auth/me");
const expired = () => app.keep(given.accessToken);
locks(undefined);

// The token counts no more, and not just for these calls.
assert.equal((await browse(`${base}/auth/me`, { headers: { Authorization: `Bearer ${given.accessToken}` } })).status, 401);

expired();
assert.equal(await refreshesOf(() => all(Array.from({ length: 10 }, () => profile()), 200)), 1);
assert.equal(await refreshesOf(() => all([profile(), profile(tab)], 200)), 0, "the other tab was told");

// A page that was just loaded has nothing but the cookie.
app.keep(null);
assert.deepEqual(signedOut.splice(0), [["tab", undefined]], "one tab signs out for all");
assert.equal(await refreshesOf(() => all([profile(), profile()], 200)), 1);

// 401 for another reason is the caller's.
const body = JSON.stringify({ email, password: "not this one" });
const wrong = { method: "POST", headers: { "Content-Type": "application/json" }, body };
assert.equal(await refreshesOf(async () => {
  const answer = await app.call("/auth/login", wrong);
  assert.deepEqual([answer.status, (await answer.json()).code], [401, "AUTH_001"]);
}), 0);

// A bad moment signs nobody out.
expired();
interfere = async () => Response.json({ code: "UNAVAILABLE" }, { status: 503 });
assert.equal(await refreshesOf(() => all([profile()], 503)), 1);
await all([profile()], 200);

// The server has renewed, and the answer got lost with its cookie.
expired();
interfere = async (url, init) => {
  const before = cookie;
  assert.equal((await browse(url, init)).status, 200);
  cookie = before;
  throw new TypeError("the network is gone");
};
assert.equal(await refreshesOf(() => all([profile(), profile()], 200)), 2);

// Tabs at the same moment: without locks each may ask, with them one does.
expired();
await all([profile(), profile(tab)], 200);
let turn = Promise.resolve();
locks({ request: (_, work) => (turn = turn.then(work)) });
expired();
assert.equal(await refreshesOf(() => all([profile(), profile(tab), profile(), profile(tab)], 200)), 1);

// The session is ended elsewhere, while this browser still has its cookie.
assert.deepEqual(signedOut, []);
const held = cookie;
await all([app.call("/auth/logout", { method: "POST" })], 200);
cookie = held;
assert.equal(await refreshesOf(() => all([profile(), profile(), profile()], 401)), 1);
assert.deepEqual(signedOut, [["tab", undefined], ["app", "AUTH_004"]]);
console.log("every scene was played");
