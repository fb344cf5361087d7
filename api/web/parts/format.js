// Numbers and times as people read them.

const MINUTE = 60;
const HOUR = 3600;

/** 4.25 -> "0:04.25"; 3725 -> "1:02:05". */
export function clock(seconds, digits = 0) {
  const unit = 10 ** digits;
  const rounded = Math.round(Math.abs(seconds) * unit) / unit;
  const whole = Math.floor(rounded);
  const rest = digits ? (rounded - whole).toFixed(digits).slice(1) : "";
  const two = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(whole / HOUR);
  const minutes = Math.floor((whole % HOUR) / MINUTE);
  const text = hours
    ? `${hours}:${two(minutes)}:${two(whole % MINUTE)}`
    : `${minutes}:${two(whole % MINUTE)}`;
  return `${seconds < 0 ? "-" : ""}${text}${rest}`;
}

/** 1806 -> "30 min 6 s". */
export function duration(seconds) {
  if (seconds < MINUTE) return `${trimmed(seconds, 1)} s`;
  const whole = Math.round(seconds);
  const parts = [
    [Math.floor(whole / HOUR), "h"],
    [Math.floor((whole % HOUR) / MINUTE), "min"],
    [whole % MINUTE, "s"],
  ];
  return parts.filter(([count]) => count).slice(0, 2).map(([count, unit]) => `${count} ${unit}`).join(" ");
}

export function trimmed(value, digits) {
  return String(Number(value.toFixed(digits)));
}

export function count(value) {
  return value.toLocaleString("en");
}

/** 1 -> "1 record"; 2 -> "2 records". */
export function several(value, thing) {
  return `${count(value)} ${thing}${value === 1 ? "" : "s"}`;
}

export function bytes(value) {
  if (value < 1e3) return `${value} B`;
  return value < 1e6 ? `${(value / 1e3).toFixed(0)} kB` : `${(value / 1e6).toFixed(1)} MB`;
}

export function moment(text) {
  return new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}
