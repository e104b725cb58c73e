// Names of languages, fetched as they are needed and kept.

import { get } from "./api.js";

const known = new Map();

/** Make sure that names of these codes are known. */
export async function learn(codes) {
  const missing = [...new Set(codes)].filter((code) => code && !known.has(code));
  for (let i = 0; i < missing.length; i += 200) {
    const part = missing.slice(i, i + 200);
    try {
      const found = await get("/api/languages", { code: part, limit: part.length });
      remember(found.languages);
    } catch {
      for (const code of part) known.set(code, { code, name: code, script: "", family: "", branch: "" });
    }
  }
}

/** Keep languages that came with another answer. */
export function remember(languages) {
  for (const one of languages) known.set(one.code, { ...known.get(one.code), ...one });
}

/** What is known of a language, or null. */
export const entry = (code) => known.get(code) ?? null;

/** `Swedish`; the code where no name is known. */
export const name = (code) => known.get(code)?.name ?? code;

/** Without what stands in brackets. */
export const shortName = (code) => name(code).split(" (")[0];
