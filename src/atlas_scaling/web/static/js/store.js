// What this browser keeps: saved plans and the theme. Storage may be full or forbidden.

export const PLANS = "atlas.plans";
const MOST = 100;

export function savedPlans() {
  try {
    const plans = JSON.parse(localStorage.getItem(PLANS) ?? "[]");
    return Array.isArray(plans) ? plans : [];
  } catch {
    return [];
  }
}

/** Keep a plan under its name; one of the same name is replaced. False where storage refuses. */
export function savePlan(plan) {
  const plans = [plan, ...savedPlans().filter((one) => one.name !== plan.name)].slice(0, MOST);
  return write(plans);
}

export function removePlan(name) {
  return write(savedPlans().filter((one) => one.name !== name));
}

function write(plans) {
  try {
    localStorage.setItem(PLANS, JSON.stringify(plans));
    return true;
  } catch {
    return false;
  }
}
