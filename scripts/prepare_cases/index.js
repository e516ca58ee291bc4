'use strict'

// The inputs of scripts/record_prepare.js. `{dir}` stands for the fresh directory in which `files` lie; the caller runs in
// {dir}/app, its PATH is {dir}/bin alone, its PM2_HOME is {dir}/pm2home. Names end up in the table of deviations.

const files = require('./files.js')
const yaml = require('./yaml.js')

// In the order of the recorded vectors.
const cases = [
  ...require('./values.js'),
  ...require('./run.js'),
  ...require('./options.js'),
  ...require('./existing.js'),
]

module.exports = { cases, files, yaml }
