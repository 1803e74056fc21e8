// A client of openapi-fetch with the types that openapi-typescript made: tsc checks it, node runs it.
import createClient from "openapi-fetch";

import type { components, paths } from "./schema.js";

const client = createClient<paths>({ baseUrl: process.argv[2] ?? "" });
const record: components["schemas"]["PenguinsEuRecord"] = {
  island: "Biscoe",
  bill_length_mm: 46.1,
  bill_depth_mm: 13.2,
  flipper_length_mm: 211,
  body_mass_g: 4500,
  sex: "female",
  year: 2007,
};

const one = await client.POST("/api/models/penguins-eu/predict", {
  params: { header: { Prefer: "wait=10" }, query: { outputs: "predict,predict_proba" } },
  body: record,
});
if (!one.data || !("result" in one.data) || !one.data.result) throw new Error(JSON.stringify(one));
const label: "Adelie" | "Chinstrap" | "Gentoo" | undefined = one.data.result.predictions[0];
const share: number | undefined = one.data.result.probabilities?.[0]?.Gentoo;

const several = await client.POST("/api/models/penguins.eu/predict", {
  params: { header: { Prefer: "wait=10" } },
  body: [record, record],
});
if (!several.data || !("rows" in several.data)) throw new Error(JSON.stringify(several));

const refused = await client.POST("/api/models/penguins-eu/predict", {
  // @ts-expect-error: the types know the islands
  body: { ...record, island: "Atlantis" },
});

console.log(JSON.stringify({
  label,
  isShare: share !== undefined && share > 0.5,
  rows: several.data.rows,
  refused: [refused.response.status, refused.error?.errors?.[0]?.pointer],
}));
