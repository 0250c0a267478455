/** The same as hostile-directory.test.ts of a directory that is opened as commands open it: together with others. */
process.env["HOLDFAST_TEST_SHARED"] = "1"
await import("./hostile-directory.test.ts")
