// The state of a plan's question: what the address says, and what the API is asked.

import { get } from "../api.js";
import * as link from "../link.js";

export const OBJECTIVES = {
  mean: { text: "Mean", of: "mean loss", short: "mean loss", hint: "the weighted mean of the targets' losses" },
  worst: { text: "Worst", of: "worst loss", short: "worst loss", hint: "the highest loss among the targets" },
  regret: { text: "Regret", of: "worst regret", short: "worst regret", hint: "the worst loss over what each target could have had of this budget alone" },
};

const EXAMPLE = { targets: ["cat_Latn", "swa_Latn"], flops: 1e21, unique: { cat_Latn: 2e9 } };

/** A state from the address, or one to begin with: the session's own fits, else an example. */
export async function fromParams(params, fits) {
  const state = {
    targets: link.list(params, "t") ?? [],
    sources: params.get("s") === "none" ? [] : link.list(params, "s"),
    mode: params.get("by") ?? "compute",
    flops: link.number(params, "C"), n_params: link.number(params, "N"), tokens: link.number(params, "D"),
    served_tokens: link.number(params, "serve"), max_epochs: link.number(params, "epochs"),
    objective: params.get("min") in OBJECTIVES ? params.get("min") : "mean",
    unique: link.byCode(params, "U"), weights: link.byCode(params, "w"), floors: link.byCode(params, "lo"), caps: link.byCode(params, "hi"),
    fits: (link.list(params, "fit") ?? []).filter((id) => fits.some((fit) => fit.id === id)),
    matrix: params.get("matrix"), interference: params.has("interference"),
    accelerator: params.get("on") ?? "h100", devices: link.number(params, "devices") ?? 64, price: link.number(params, "price"),
  };
  if (!params.has("t")) await begin(state, fits);
  state.flops ??= 1e21;
  state.n_params ??= 2e9;
  state.tokens ??= 40e9;
  if (!["compute", "size", "both"].includes(state.mode)) state.mode = "compute";
  return state;
}

/** The fit to begin with: the surest verdict, then ATLAS, which knows transfer. */
const rank = (fit) => 2 * ["ok", "weak", "not_identified", "not_converged"].indexOf(fit.status) + (fit.law === "atlas" ? 0 : 1);

/** Whether a fit tells what the best size rests on; from others only a mixture can be planned. */
const tellsSize = (fit) => !["A", "B", "alpha", "beta"].some((key) => fit.untold.includes(key));

async function begin(state, fits) {
  const own = new Map();
  const sized = fits.filter(tellsSize);
  if (fits.length && !sized.length) state.mode = "size";
  for (const fit of sized.length ? sized : fits) {
    const before = own.get(fit.target);
    if (!before || rank(fit) < rank(before)) own.set(fit.target, fit);
  }
  const unit = [...own.values()][0]?.loss_unit;
  const chosen = [...own.values()].filter((fit) => fit.loss_unit === unit).slice(0, 6);
  if (!chosen.length) return Object.assign(state, structuredClone(EXAMPLE));
  state.fits = chosen.map((fit) => fit.id);
  state.targets = chosen.map((fit) => fit.target);
  const largest = await largestRun();
  const round = (value) => Number(value.toPrecision(2));
  if (largest) [state.n_params, state.tokens] = [round(largest.n_params), round(largest.tokens_planned)];
  // ten times the largest run's, a step that a study can vouch for
  state.flops = largest ? Number((10 * flopsOf(largest)).toPrecision(1)) : 1e18;
  state.devices = 1;
  if (state.flops < 1e17) state.accelerator = "cpu-core";
}

const flopsOf = (run) => 6 * run.n_params * run.tokens_planned;

/** The run of most compute; null where the session has none. */
async function largestRun() {
  try {
    const { runs } = await get("/api/runs", { limit: 500, sort: "n_params", descending: true });
    return runs.reduce((most, run) => (most === null || flopsOf(run) > flopsOf(most) ? run : most), null);
  } catch {
    return null;
  }
}

export function toParams(state) {
  const by = { compute: { C: state.flops }, size: { N: state.n_params, D: state.tokens }, both: { C: state.flops, N: state.n_params } }[state.mode];
  return link.params({
    t: state.targets, s: state.sources === null ? null : state.sources.length ? state.sources : "none",
    by: state.mode === "compute" ? null : state.mode, ...by,
    serve: state.served_tokens, epochs: state.max_epochs, min: state.objective === "mean" ? null : state.objective,
    ...link.withPrefix("U", state.unique), ...link.withPrefix("w", state.weights), ...link.withPrefix("lo", state.floors), ...link.withPrefix("hi", state.caps),
    fit: state.fits, matrix: state.matrix, interference: state.interference,
    on: state.accelerator, devices: state.devices, price: state.price,
  });
}

/** The question as the API takes it. */
export function toRequest(state) {
  const languages = new Set([...state.targets, ...(state.sources ?? [])]);
  const within = (values, codes) => Object.fromEntries(Object.entries(values).filter(([code]) => codes.has(code)));
  const targets = new Set(state.targets);
  const weights = within(state.weights, targets);
  const request = {
    targets: state.targets,
    sources: state.sources,
    unique: state.unique,
    objective: state.objective,
    // every target needs a weight as soon as one has
    weights: Object.keys(weights).length ? Object.fromEntries(state.targets.map((code) => [code, weights[code] ?? 1])) : {},
    floors: within(state.floors, languages),
    caps: within(state.caps, languages),
    fits: state.fits,
    matrix: state.matrix,
    interference: state.interference,
    max_epochs: state.max_epochs,
  };
  if (state.mode !== "size") Object.assign(request, { flops: state.flops, served_tokens: state.served_tokens });
  if (state.mode !== "compute") request.n_params = state.n_params;
  if (state.mode === "size") request.tokens = state.tokens;
  return request;
}

export function costRequest(state, answer) {
  return { n_params: answer.n_params, tokens: answer.tokens, accelerators: [state.accelerator], devices: state.devices, price_per_hour: state.price };
}
