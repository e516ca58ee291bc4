'use strict'

process.env.NATIVE_SUITE = 'ours'
require('./suite.js')
