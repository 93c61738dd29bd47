/* SPDX-License-Identifier: ISC */
/* Modules that a shim must refuse; see api.c. */
#include "danevirke.h"

#ifndef TABLE
#define TABLE danevirke_v1
#endif
#ifndef ABI
#define ABI DANEVIRKE_ABI
#endif
#ifndef SIZE
#define SIZE sizeof(struct danevirke_api)
#endif

extern const struct danevirke_api TABLE;
const struct danevirke_api TABLE = {
	.abi = ABI, .size = SIZE, .version = "none"
};
