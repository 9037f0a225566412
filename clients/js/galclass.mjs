// A JavaScript client of the galclass service for browsers and Node 18 or later; no dependencies.
//
//   import { Client } from "./galclass.mjs";
//   const service = await new Client("http://127.0.0.1:8000").getService("galaxy-class");
//   const [record] = await service.predict([{ id: "68", data: await file.arrayBuffer() }]);

const RETRIES = 3;
const IMAGES_A_REQUEST = 64;

/** The server refused a request; `code`, `status` and `field` are the server's. */
export class ClientError extends Error {
  constructor(status, { code, message, field }) {
    super(message);
    this.name = "ClientError";
    this.status = status;
    this.code = code;
    this.field = field ?? null;
  }
}

/** A connection to a server. */
export class Client {
  /**
   * @param {string} url URL of the server
   * @param {{token?: string, fetch?: typeof fetch, wait?: (ms: number) => Promise<void>}} [options]
   */
  constructor(url, { token, fetch: send = globalThis.fetch.bind(globalThis), wait = sleep } = {}) {
    this.url = url.replace(/\/+$/, "");
    this.token = token;
    this.fetch = send;
    this.wait = wait;
  }

  /** List every version of every service, or of one. */
  async listServices(name) {
    return (await this.request("GET", `/v1/services${query({ name })}`)).services;
  }

  /** Return a version of a service, or the one that an alias points to now. */
  async getService(name, version = "latest") {
    return new Service(this, await this.request("GET", path("services", name, version)));
  }

  /** Publish a registered model as a new version; `latest` moves to it. */
  async publishService(name, { model, version, description = "" }) {
    return new Service(this, await this.request("POST", "/v1/services", { name, model, version, description }));
  }

  /** Point an alias to another version. */
  async moveAlias(name, alias, version) {
    return new Service(this, await this.request("PUT", path("services", name, "aliases", alias), { version }));
  }

  /** Point an alias to its previous version. */
  async rollbackService(name, alias = "latest") {
    return new Service(this, await this.request("POST", path("services", name, "rollback") + query({ alias })));
  }

  /** Delete a version that no alias points to, or the last one of a service. */
  async deleteService(name, version) {
    await this.request("DELETE", path("services", name, version));
  }

  /** Send a request and return its JSON; one refused as overloaded is retried after a while. */
  async request(method, where, body) {
    const headers = {};
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    const isForm = body instanceof FormData;
    if (body !== undefined && !isForm) headers["Content-Type"] = "application/json";
    const options = { method, headers, body: body === undefined || isForm ? body : JSON.stringify(body) };
    for (let attempt = 0; ; attempt += 1) {
      const response = await this.fetch(this.url + where, options);
      if (response.ok) return response.json();
      if (![429, 503].includes(response.status) || attempt === RETRIES) throw await refusal(response);
      await response.arrayBuffer();
      await this.wait(1000 * pauseOf(response.headers.get("Retry-After")));
    }
  }
}

/** Seconds to wait by a Retry-After header: at most a minute, and 1 if a proxy sent a date or nothing. */
export function pauseOf(header) {
  const seconds = Number(header ?? NaN);
  return Number.isNaN(seconds) ? 1 : Math.min(Math.max(seconds, 0), 60);
}

/** A published version of a service; `record` is the server's record of it. */
export class Service {
  constructor(client, record) {
    this.client = client;
    this.record = record;
    this.path = path("services", record.name, record.version);
  }

  /**
   * Classify images; a faulty one has `error` in its record.
   * @param {{id: string, data: ArrayBuffer | Uint8Array | Blob}[]} images
   * @param {{framePx?: number}} [options]
   */
  async predict(images, { framePx } = {}) {
    const records = [];
    for (let start = 0; start < images.length; start += IMAGES_A_REQUEST) {
      const part = images.slice(start, start + IMAGES_A_REQUEST);
      const where = `${this.path}/predict${query({ frame_px: framePx })}`;
      const found = await this.client.request("POST", where, uploadOf(part));
      records.push(...(found.predictions ?? [found]));
    }
    return records;
  }

  /** Classify images as a batch job on the server and wait for its end. */
  async batch(images, { pollMs = 500 } = {}) {
    let id;
    for (let start = 0; start < images.length; start += IMAGES_A_REQUEST) {
      const where = id ? `${path("jobs", id)}/images` : `${this.path}/batches?start=false`;
      ({ id } = await this.client.request("POST", where, uploadOf(images.slice(start, start + IMAGES_A_REQUEST))));
    }
    if (!id) return [];
    await this.client.request("POST", `${path("jobs", id)}/start`);
    return this.results(id, { pollMs });
  }

  /** Call a service over code with its inputs. */
  async call(inputs) {
    return this.client.request("POST", `${this.path}/call`, inputs);
  }

  /** Call a service over code for many inputs as a batch job. */
  async batchCalls(inputs, { pollMs = 500 } = {}) {
    const { id } = await this.client.request("POST", `${this.path}/batches`, { inputs });
    return this.results(id, { pollMs });
  }

  /** Return the OpenAPI document of this service. */
  async openapi() {
    return this.client.request("GET", `${this.path}/openapi.json`);
  }

  /** Return inputs, outputs, classes and limits. */
  async capabilities() {
    return this.client.request("GET", `${this.path}/capabilities`);
  }

  /** Read the results of a job until its end. */
  async results(id, { pollMs = 500 } = {}) {
    const records = [];
    for (let after = -1; ; ) {
      const page = await this.client.request("GET", `${path("jobs", id)}/results${query({ after })}`);
      records.push(...page.predictions);
      if (page.next === null) {
        if (page.done < page.total) throw new Error(`the batch is ${page.state}: ${page.done} of ${page.total} done`);
        return records;
      }
      if (!page.predictions.length) await this.client.wait(pollMs);
      after = page.next;
    }
  }
}

function uploadOf(images) {
  const form = new FormData();
  for (const { id, data } of images) {
    if (typeof id !== "string") throw new TypeError("an object id is a string: a number does not hold 18 digits");
    form.append("image", data instanceof Blob ? data : new Blob([data]), "image");
    form.append("object_id", id);
  }
  return form;
}

async function refusal(response) {
  try {
    return new ClientError(response.status, (await response.json()).error);
  } catch {
    return new ClientError(response.status, { code: "error", message: `the server responded with status ${response.status}` });
  }
}

function path(...parts) {
  return `/v1/${parts.map(encodeURIComponent).join("/")}`;
}

function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

function sleep(ms) {
  return new Promise((done) => setTimeout(done, ms));
}
