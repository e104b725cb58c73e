// Talking to the server this page came from, and to no other.

/** A failure as the server's document says it. */
class Failure extends Error {
  constructor(document, status) {
    super(document.problem);
    this.document = document;
    this.status = status;
  }
}

const TOKEN_ASKED = {
  problem: "The server asks for its token: it was started anew, or another server answers here.",
  remedy: "Give the token that stands in the link atlas serve printed; this page keeps its state.",
};

let pending = 0;

/** Mark the page while anything is on its way; tests and screenshots wait for the mark to go. */
function count(step) {
  pending += step;
  document.documentElement.toggleAttribute("data-busy", pending > 0);
}

async function call(path, options) {
  count(1);
  try {
    return await answered(path, options);
  } finally {
    count(-1);
  }
}

async function answered(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure({
      problem: "The server does not answer.",
      remedy: "Is atlas serve still running? Start it again; this page keeps its state.",
    }, 0);
  }
  const body = await response.json().catch(() => null);
  if (response.status === 401) throw new Failure(TOKEN_ASKED, 401);
  if (!response.ok) throw new Failure(body ?? { problem: `The server answered ${response.status}.` }, response.status);
  return body;
}

/** GET with query parameters; lists repeat, empty values are left out. */
export function get(path, query = {}, { signal } = {}) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") search.append(name, one);
    }
  }
  const text = search.toString();
  return call(path + (text ? `?${text}` : ""), { signal });
}

/** POST JSON. */
export function post(path, body, { signal } = {}) {
  return call(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
}

/** Send a file as it is, with progress; returns the server's answer. */
export function upload(file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/uploads?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("content-type", "application/octet-stream");
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => onProgress?.(event.loaded, event.total));
    request.addEventListener("load", () => {
      if (request.status === 200) resolve(request.response);
      else reject(new Failure(request.response ?? { problem: `The server answered ${request.status}.` }, request.status));
    });
    request.addEventListener("error", () =>
      reject(new Failure({ problem: "The file did not arrive.", remedy: "Is atlas serve still running?" }, 0)));
    request.send(file);
  });
}

const ENDED = new Set(["done", "failed", "cancelled"]);

/**
 * Start a job and follow it. `onChange(job)` is called with every look; the promise gives the
 * result, or null where it was cancelled. `handle.cancel()` stops it.
 */
export function runJob(task, onChange) {
  const handle = { id: null, cancelled: false };
  handle.cancel = async () => {
    handle.cancelled = true;
    if (handle.id) await call(`/api/jobs/${handle.id}`, { method: "DELETE" });
  };
  handle.result = (async () => {
    let job = await post("/api/jobs", task);
    handle.id = job.id;
    if (handle.cancelled) await handle.cancel();
    let wait = 120;
    while (!ENDED.has(job.state)) {
      onChange?.(job);
      await new Promise((resolve) => setTimeout(resolve, wait));
      wait = Math.min(wait * 1.3, 800);
      job = await get(`/api/jobs/${handle.id}`);
    }
    onChange?.(job);
    if (job.state === "failed") throw new Failure(job.error, 422);
    return job.state === "done" ? job.result : null;
  })();
  return handle;
}

/**
 * Calls `f` with the newest argument, one call at a time: while one is on its way, later arguments
 * replace each other. Sliders feel live, and the server is never behind.
 */
export function latest(f) {
  let busy = false;
  let waiting = null;
  const run = async (args) => {
    busy = true;
    try {
      await f(...args);
    } finally {
      busy = false;
      if (waiting) {
        const next = waiting;
        waiting = null;
        run(next);
      }
    }
  };
  return (...args) => {
    if (busy) waiting = args;
    else run(args);
  };
}
