// Which of the dropped files belong to one record: WFDB comes as several, other formats as one.

const HEADER = /\.hea$/i;
const LARGEST_HEADER = 4 * 1024 * 1024;

/** [{name, files}], a group for each record; files that no header names go by their common name. */
export async function groupsOf(files) {
  const byName = new Map(files.map((file) => [file.name, file]));
  const named = new Map();
  for (const file of files) if (HEADER.test(file.name)) named.set(file.name, await filesNamedIn(file));
  const inner = new Set([...named.values()].flat());
  const groups = [...named.keys()]
    .filter((header) => !inner.has(header))
    .map((header) => ({ name: stem(header), names: reached(header, named, byName) }));
  const taken = new Set(groups.flatMap((group) => [...group.names]));
  return [
    ...groups.map(({ name, names }) => ({ name, files: [...names].map((n) => byName.get(n)) })),
    ...leftOver(files.filter((file) => !taken.has(file.name))),
  ];
}

/** What a header names: its signal files, or the headers of its segments. */
async function filesNamedIn(file) {
  if (file.size > LARGEST_HEADER) return [];
  const lines = (await file.text()).split(/\r?\n/).filter((line) => line && !line.startsWith("#"));
  const first = lines.slice(1).map((line) => line.split(/\s+/)[0]);
  const segments = /^\S+\/\d/.test(lines[0] ?? "");
  return segments ? first.map((name) => `${name}.hea`) : first;
}

/** The header, what it names as far as that is here, and annotations that go by the same name. */
function reached(header, named, byName) {
  const found = new Set([header]);
  for (const name of found)
    for (const other of named.get(name) ?? []) if (byName.has(other)) found.add(other);
  const stems = new Set([...found].filter((name) => HEADER.test(name)).map(stem));
  for (const name of byName.keys()) if (stems.has(stem(name)) && !named.has(name)) found.add(name);
  return found;
}

function leftOver(files) {
  const byStem = Map.groupBy(files, (file) => (isOneFile(file) ? file : stem(file.name)));
  return [...byStem.values()].map((group) => ({ name: group[0].name, files: group }));
}

/** A format that is one file stands alone, even beside another of the same name. */
function isOneFile(file) {
  return /\.(zip|edf|bdf|dcm|xml|csv|json|scp|ecg|mat)$/i.test(file.name);
}

function stem(name) {
  return name.replace(/\.[^.]*$/, "");
}
