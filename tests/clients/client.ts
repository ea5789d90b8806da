// A session with the TypeScript client generated from the OpenAPI document.
// Address, e-mail, password and token come from the environment; the titles of the events that
// were read are printed. That it compiles shows that the types fit.

import createClient, { type Middleware } from "openapi-fetch";
import type { paths } from "./api.js";

declare const process: { env: Record<string, string>; exit(code: number): never };

const baseUrl = process.env["SIGNALBOX_URL"]!;

function check<T>(data: T | undefined, error: unknown): T {
  if (data === undefined) throw new Error(JSON.stringify(error));
  return data;
}

// What a browser would do by itself: keep the session's cookie.
function session(): Middleware & { csrf: string } {
  let cookie = "";
  return {
    csrf: "",
    onRequest({ request }) {
      if (cookie) request.headers.set("cookie", cookie);
      if (this.csrf) request.headers.set("x-csrf-token", this.csrf);
      return request;
    },
    onResponse({ response }) {
      const set = response.headers.get("set-cookie");
      if (set) cookie = set.split(";")[0]!;
      return response;
    },
  };
}

const person = createClient<paths>({ baseUrl });
const own = session();
person.use({ onRequest: (c) => own.onRequest!(c), onResponse: (c) => own.onResponse!(c) });

const login = await person.POST("/api/v1/auth/login", {
  body: { email: process.env["EMAIL"]!, password: process.env["PASSWORD"]! },
});
own.csrf = check(login.data, login.error).csrf_token;

const refused = await person.POST("/api/v1/sources", {
  body: { name: "", slug: "ts", auth: { type: "bearer" } },
});
if (refused.error?.errors?.[0]?.field !== "name") throw new Error(JSON.stringify(refused.error));

const source = await person.POST("/api/v1/sources", {
  body: { name: "From TypeScript", slug: "ts", auth: { type: "bearer" } },
});
const made = check(source.data, source.error);

const box = await person.POST("/api/v1/connections", {
  body: { name: "desk", connector: "sandbox" },
});
check(box.data, box.error);

const rule = await person.POST("/api/v1/rules", {
  body: {
    name: "copy from TypeScript",
    source: "ts",
    spec: {
      when: [{ path: "$.level", op: "equals", value: "high" }],
      then: [
        {
          deliver: {
            connection: "desk",
            operation: "http.request",
            map: { body: { path: "$" } },
          },
        },
      ],
    },
  },
});
const id = check(rule.data, rule.error).id;
const again = await person.GET("/api/v1/rules/{id}", { params: { path: { id } } });
if (check(again.data, again.error).name !== "copy from TypeScript") throw new Error("another rule");

const sender = createClient<paths>({
  baseUrl,
  headers: { authorization: `Bearer ${made.secret}` },
});
const workspace = made.source.url.split("/").at(-2)!;
const sent = await sender.POST("/hooks/{workspace}/{slug}", {
  params: { path: { workspace, slug: "ts" } },
  body: { msg: "from a typed client", level: "high" },
});
const accepted = check(sent.data, sent.error);

const robot = createClient<paths>({
  baseUrl,
  headers: { authorization: `Bearer ${process.env["TOKEN"]}` },
});
const events = await robot.GET("/api/v1/events", { params: { query: { source: "ts" } } });
const page = check(events.data, events.error);
if (page.items[0]?.id !== accepted.event_ids[0]) throw new Error("another event");
for (const event of page.items) console.log(event.title);
