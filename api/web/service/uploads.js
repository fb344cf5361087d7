// Sends the files of one record with XMLHttpRequest, the only way to hear how much has been sent.

import { connection } from "./connection.js";
import { problemOf, unreachable } from "./problem.js";

/** The stored record and whether it was there before. `on(fraction)` hears of the sending; `fields` say
 * what the files do not: sampling_rate_hz, units, leads, patient_id. */
export function upload(files, { on, signal, key, fields = {} }) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  for (const file of files) form.append("file", file, file.name);
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open("POST", "v1/records");
    sending.setRequestHeader("Idempotency-Key", key);
    sending.upload.onprogress = (event) => event.total && on(event.loaded / event.total);
    sending.onload = () => {
      connection.reportAnswer();
      const known = sending.status === 200;
      if (known || sending.status === 201)
        resolve({ record: JSON.parse(sending.responseText), known });
      else reject(problemOf(sending.status, sending.responseText));
    };
    sending.onerror = () => {
      connection.reportLost();
      reject(unreachable());
    };
    sending.onabort = () => reject(signal.reason);
    signal.addEventListener("abort", () => sending.abort());
    sending.send(form);
  });
}
