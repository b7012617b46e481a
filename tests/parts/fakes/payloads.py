"""Parts of our own invention in the shapes of three distributors."""

from __future__ import annotations

from typing import Any


def digikey_variation(
    sku: str, package: str, moq: int, ladder: dict[int, float], **more: Any
) -> dict[str, Any]:
    return {
        "DigiKeyProductNumber": sku,
        "PackageType": {"Id": 2, "Name": package},
        "StandardPricing": [
            {"BreakQuantity": at, "UnitPrice": price, "TotalPrice": at * price}
            for at, price in ladder.items()
        ],
        "MyPricing": [],
        "MarketPlace": False,
        "TariffActive": False,
        "Supplier": {"Id": 1, "Name": "Acme"},
        "QuantityAvailableforPackageType": 4200,
        "MinimumOrderQuantity": moq,
        "StandardPackage": 3000,
        "DigiReelFee": 0,
        **more,
    }


def digikey_product(mpn: str = "AC-4K7-0603", **more: Any) -> dict[str, Any]:
    return {
        "Description": {
            "ProductDescription": "RES 4.7K",
            "DetailedDescription": "Resistor 4.7 kOhm",
        },
        "Manufacturer": {"Id": 1, "Name": "Acme Components"},
        "ManufacturerProductNumber": mpn,
        "UnitPrice": 0.1,
        "ProductUrl": f"https://shop.example/d/{mpn}",
        "DatasheetUrl": "//sheets.example/ac.pdf",
        "PhotoUrl": "https://pictures.example/ac.jpg",
        "ProductVariations": [
            digikey_variation(
                f"{mpn}TR-ND", "Tape & Reel (TR)", 3000, {3000: 0.0123, 6000: 0.0111}
            ),
            digikey_variation(f"{mpn}CT-ND", "Cut Tape (CT)", 1, {1: 0.1, 10: 0.041, 100: 0.0205}),
        ],
        "QuantityAvailable": 4200,
        "ProductStatus": {"Id": 0, "Status": "Aktiv"},
        "Discontinued": False,
        "EndOfLife": False,
        "Parameters": [
            {"ParameterId": 2085, "ParameterText": "Resistance", "ValueText": "4.7 kOhms"},
            {"ParameterId": 3, "ParameterText": "Tolerance", "ValueText": "±1%"},
            {"ParameterId": 9, "ParameterText": "Features", "ValueText": "-"},
            {
                "ParameterId": 16,
                "ParameterText": "Package / Case",
                "ValueText": "0603 (1608 Metric)",
            },
            {"ParameterId": 1291, "ParameterText": "Supplier Device Package", "ValueText": "0603"},
        ],
        "Category": {
            "Name": "Resistors",
            "ChildCategories": [{"Name": "Chip Resistor", "ChildCategories": []}],
        },
        "ManufacturerLeadWeeks": "17",
        "Classifications": {"RohsStatus": "ROHS3 Compliant"},
        **more,
    }


def digikey_answer(
    *products: Any, exact: tuple[Any, ...] = (), total: int | None = None
) -> dict[str, Any]:
    return {
        "Products": list(products),
        "ProductsCount": len(products) if total is None else total,
        "ExactMatches": list(exact),
        "FilterOptions": {},
        "SearchLocaleUsed": {"Site": "DE", "Language": "en", "Currency": "EUR"},
    }


def mouser_part(mpn: str = "AC-4K7-0603", **more: Any) -> dict[str, Any]:
    return {
        "Availability": "12,846 In Stock",
        "AvailabilityInStock": "12846",
        "DataSheetUrl": "",
        "Description": "Thick film resistor 4.7K",
        "ImagePath": "https://pictures.example/m.jpg",
        "Category": "Chip resistors",
        "LeadTime": "91 Days",
        "LifecycleStatus": None,
        "Manufacturer": "Acme",
        "ManufacturerPartNumber": mpn,
        "Min": "5",
        "Mult": "5",
        "MouserPartNumber": f"99-{mpn}",
        "ProductAttributes": [
            {"AttributeName": "Packaging", "AttributeValue": "Reel"},
            {"AttributeName": "Packaging", "AttributeValue": "Cut Tape"},
        ],
        "PriceBreaks": [
            {"Quantity": 1, "Price": "$0.12", "Currency": "USD"},
            {"Quantity": 10, "Price": "$0.083", "Currency": "USD"},
            {"Quantity": 1000, "Price": "$0.029", "Currency": "USD"},
        ],
        "ProductDetailUrl": "https://shop.example/m/1",
        "ROHSStatus": "RoHS Compliant",
        "InfoMessages": [],
        "SurchargeMessages": None,
        **more,
    }


def mouser_answer(*parts: Any) -> dict[str, Any]:
    return {"Errors": [], "SearchResults": {"NumberOfResult": len(parts), "Parts": list(parts)}}


def farnell_product(mpn: str = "AC-4K7-0603", **more: Any) -> dict[str, Any]:
    return {
        "sku": "7654321",
        "displayName": f"ACME - {mpn} - Chip Resistor, 4.7 kohm - thick film",
        "productStatus": "STOCKED",
        "rohsStatusCode": "Y-EX_YES",
        "packSize": 1,
        "unitOfMeasure": "EACH (SUPPLIED ON CUT TAPE)",
        "image": {"baseName": "/7654321-40.jpg", "vrntPath": "farnell/"},
        "datasheets": [{"type": "T", "url": "http://sheets.example/7.pdf"}],
        "prices": [
            {"to": 99, "from": 10, "cost": 0.0337},
            {"to": 999, "from": 100, "cost": 0.0133},
            {"to": 999999999, "from": 1000, "cost": 0.0064},
        ],
        "inv": 5510,
        "brandName": "ACME",
        "translatedManufacturerPartNumber": mpn,
        "translatedMinimumOrderQuality": 10,
        "attributes": [
            {"attributeLabel": "Resistance", "attributeUnit": "kohm", "attributeValue": "4.7"},
            {"attributeLabel": "No. of Pins", "attributeUnit": "Pins", "attributeValue": "2"},
            {"attributeLabel": "Resistor Case Style", "attributeValue": "0603 [1608 Metric]"},
            {"attributeLabel": "tariffCode", "attributeValue": "85332100"},
            {"attributeLabel": "Product Range", "attributeValue": "-"},
        ],
        "stock": {
            "level": 5510,
            "leastLeadTime": 48,
            "breakdown": [
                {"inv": 5000, "region": "UK", "lead": 48, "warehouse": "UK1"},
                {"inv": 510, "region": "Liege", "lead": 48, "warehouse": "LG1"},
                {"inv": 0, "region": "-", "lead": 48, "warehouse": "PE1"},
            ],
        },
        "releaseStatusCode": 4,
        "reeling": False,
        "productURL": "https://shop.example/f/7654321",
        **more,
    }


def farnell_answer(*products: Any, root: str = "keywordSearchReturn") -> dict[str, Any]:
    found: dict[str, Any] = {"numberOfResults": len(products)}
    return {root: {**found, "products": list(products)} if products else found}
