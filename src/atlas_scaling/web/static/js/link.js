// The state of a view in the address: `#/plan?t=cat_Latn&C=1e21`. A link restores it.

/** The view's name and its parameters. */
export function read() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { view: path.split("/")[0] || "plan", params: new URLSearchParams(query) };
}

/** Write parameters without a new entry of the history, and without a reload of the view. */
export function write(view, params) {
  const text = params.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
  const hash = `#/${view}${text ? `?${text}` : ""}`;
  if (location.hash !== hash) history.replaceState(null, "", hash);
}

/** Parameters of an object; lists are joined by commas, empty values left out. */
export function params(values) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    const text = Array.isArray(value) ? value.join(",") : typeof value === "number" ? String(value).replace("e+", "e") : value;
    if (text !== null && text !== undefined && text !== "" && text !== false) found.set(name, text === true ? "1" : text);
  }
  return found;
}

/** A list of a parameter; null where it is not there. */
export const list = (search, name) => (search.has(name) ? [...new Set(search.get(name).split(",").filter(Boolean))] : null);

/** A number of a parameter; null where it is not there or none. */
export function number(search, name) {
  const value = Number(search.get(name));
  return search.has(name) && Number.isFinite(value) && value > 0 ? value : null;
}

/** Parameters `U.cat_Latn=1e10` as an object by code. */
export function byCode(search, prefix) {
  const found = {};
  for (const [name, text] of search) {
    const value = Number(text);
    if (name.startsWith(`${prefix}.`) && Number.isFinite(value)) found[name.slice(prefix.length + 1)] = value;
  }
  return found;
}

/** The same, written. */
export function withPrefix(prefix, values) {
  return Object.fromEntries(Object.entries(values).map(([code, value]) => [`${prefix}.${code}`, value]));
}
