/**
 * What is left of version 1 of the storage protocol, for clients that know no accounts: they store for nobody, and take nothing away.
 * Specification: docs/protocols/storage-node.md.
 */
import { HoldfastError, limits } from "@holdfast/core"
import {
  batchTokenBytes,
  decodeWholeFrames,
  encodeLegacyProposeOutcomes,
  encodePutOutcomes,
  registersPerRequest,
} from "@holdfast/protocol"
import { answerBytes, framedBytes, idListBytes, type Route, readRoutes } from "./routes.ts"

const noBatch = new Uint8Array(batchTokenBytes)

const refuse: Route["handle"] = async () => {
  throw new HoldfastError(
    "ERR_REFUSED",
    "Shares belong to accounts now, and only an account's own order takes them away. Upgrade Holdfast on this machine.",
  )
}

/** Endpoints by their paths behind /v1/. */
export const legacyRoutes: Readonly<Record<string, Route>> = {
  ...readRoutes,
  "shares/put": {
    method: "POST",
    maxBytes: framedBytes,
    answerBytes: 0,
    handle: async (backend, body) => {
      const shares = decodeWholeFrames(body, { maxItems: limits.requestItems, maxItemBytes: limits.shareBytes })
      return [encodePutOutcomes(await backend.putShares(shares, { batch: noBatch }))]
    },
  },
  "shares/list": { method: "POST", maxBytes: 1024, answerBytes: 0, handle: refuse },
  "shares/remove": { method: "POST", maxBytes: idListBytes, answerBytes: 0, handle: refuse },
  "registers/propose": {
    method: "POST",
    maxBytes: framedBytes,
    answerBytes,
    handle: async (backend, body) => {
      const bounds = { maxItems: registersPerRequest, maxItemBytes: limits.registerValueBytes }
      return [encodeLegacyProposeOutcomes(await backend.proposeRegisters(decodeWholeFrames(body, bounds)))]
    },
  },
}
