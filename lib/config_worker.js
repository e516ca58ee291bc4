'use strict'

// Owns: the evaluation of one config file in a thread of its own, which can be ended whatever it does.

const { parentPort, workerData } = require('node:worker_threads')
const { evaluateUnguarded } = require('./config_file.js')

const { file, limit, argv, quiet } = workerData
// The file may look at the words of the program that reads it, and must not write where that program does not.
process.argv = argv
if (quiet) console.log = console.error

evaluateUnguarded(file, limit)
  .then((config) => ({ text: JSON.stringify(config) }))
  .catch((error) => {
    const isError = error instanceof Error
    return { error: isError ? error : new Error(String(error)), code: isError ? Reflect.get(error, 'code') : undefined }
  })
  .then((answer) => parentPort?.postMessage(answer))
