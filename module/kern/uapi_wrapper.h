/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The UAPI header for bindgen. _IOWR() and friends expand to expressions that
 * bindgen does not evaluate; as enumerators they are.
 */
#include "faultline.h"

enum faultline_request {
	FAULTLINE_REQUEST_MAP = FAULTLINE_IOC_MAP,
	FAULTLINE_REQUEST_UNMAP = FAULTLINE_IOC_UNMAP,
	FAULTLINE_REQUEST_QUERY = FAULTLINE_IOC_QUERY,
	FAULTLINE_REQUEST_POLICY = FAULTLINE_IOC_POLICY,
	FAULTLINE_REQUEST_LIMIT = FAULTLINE_IOC_LIMIT,
	FAULTLINE_REQUEST_STATS = FAULTLINE_IOC_STATS,
};
