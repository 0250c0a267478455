/** The models of collection, of registers and of moving volumes, explored to the end. Explained in docs/models.md. */
import { ancestryCases } from "./ancestry.ts"
import { batchCases } from "./batches.ts"
import { bucketCases } from "./bucket.ts"
import type { ModelCase } from "./case.ts"
import { markCases } from "./marks.ts"
import { moveCases } from "./reconfigure.ts"

export { asTheyAre, describeOutcome, isAsExpected, type ModelCase } from "./case.ts"
export { type Exploration, explore, type Invariant, type Model } from "./explore.ts"

/** Every question to every model. */
export const modelCases: readonly ModelCase[] = [
  ...markCases,
  ...batchCases,
  ...bucketCases,
  ...moveCases,
  ...ancestryCases,
]
