/** The X.509 library, loaded on first use: most commands never make a certificate and should not wait for it. */

/** Loads the library together with the metadata shim it needs. */
export async function loadX509(): Promise<typeof import("@peculiar/x509")> {
  await import("reflect-metadata")
  return import("@peculiar/x509")
}

/** The one algorithm of our keys and certificates: ECDSA over P-256 with SHA-256. */
export const signingAlgorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const
