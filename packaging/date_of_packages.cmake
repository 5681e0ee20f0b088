# SPDX-License-Identifier: BSD-2-Clause
# Read by cpack: what it packs has the date of the newest entry of the changelog, so that the same tree gives the same bytes.
if(NOT DEFINED ENV{SOURCE_DATE_EPOCH})
    execute_process(COMMAND dpkg-parsechangelog --file ${CPACK_WHERRY_CHANGELOG} --show-field Timestamp
        OUTPUT_VARIABLE date OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    set(ENV{SOURCE_DATE_EPOCH} ${date})
endif()
