// Where each lead stands on a 12-lead sheet: three rows of four, a lead for 2.5 s each, and the rhythm
// strip below for the whole ten seconds. The columns go on in time, as the strip does.

export const PAGE_S = 10;
export const COLUMN_S = 2.5;
export const RHYTHM = "II";
const ROWS = [
  ["I", "aVR", "V1", "V4"],
  ["II", "aVL", "V2", "V5"],
  ["III", "aVF", "V3", "V6"],
];
const BOX_MV = 0.5;
const MOST_MV = 3;
const LEAST_BOXES = 4;
const PULSE_BOXES = 3;

/** The four rows of a record that has the twelve leads in millivolts, else null.
 * [[{name, lead, from_s, to_s}]], `lead` counting in the record's own order. */
export function rowsOf(record) {
  const place = new Map(record.leads.map(({ name, unit }, i) => [name, unit === "mV" ? i : -1]));
  if (!ROWS.flat().every((name) => (place.get(name) ?? -1) >= 0)) return null;
  const cell = (name, column) => ({ name, lead: place.get(name), from_s: column * COLUMN_S, to_s: (column + 1) * COLUMN_S });
  const rhythm = { name: RHYTHM, lead: place.get(RHYTHM), from_s: 0, to_s: PAGE_S };
  return [...ROWS.map((names) => names.map(cell)), [rhythm]];
}

/** Whole boxes around what a row's leads reach in their whole course: [low, high] in mV. */
export function rowRange(row, leads) {
  let [low, high] = [0, 0];
  for (const { lead } of row) {
    const found = leads[lead].y.filter((value) => value !== null).sort((a, b) => a - b);
    if (!found.length) continue;
    const middle = found[found.length >> 1];
    low = Math.min(low, Math.max(found[0], middle - MOST_MV));
    high = Math.max(high, Math.min(found.at(-1), middle + MOST_MV));
  }
  const from = Math.floor((low - 0.1) / BOX_MV);
  // room above for the lead's name and for the pulse of 1 mV
  const to = Math.max(Math.ceil((high + 0.3) / BOX_MV), from + LEAST_BOXES, PULSE_BOXES);
  return [from * BOX_MV, to * BOX_MV];
}
